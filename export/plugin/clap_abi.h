/* The parts of CLAP 1.2's binary interface that clap.c uses, declared from its public ABI
 * (https://github.com/free-audio/clap): names are ours, order and types are CLAP's. */
#ifndef AFX_CLAP_ABI_H
#define AFX_CLAP_ABI_H

#include <stdbool.h>
#include <stdint.h>

struct clap_version {
    uint32_t major, minor, revision;
};

struct clap_host {
    struct clap_version version;
    void *data;
    const char *name, *vendor, *url, *host_version;
    const void *(*get_extension)(const struct clap_host *, const char *id);
    void (*request_restart)(const struct clap_host *);
    void (*request_process)(const struct clap_host *);
    void (*request_callback)(const struct clap_host *);
};

struct clap_descriptor {
    struct clap_version version;
    const char *id, *name, *vendor, *url, *manual_url, *support_url, *plugin_version, *description;
    const char *const *features;
};

struct clap_audio_buffer {
    float **data32;
    double **data64;
    uint32_t channel_count, latency;
    uint64_t constant_mask;
};

struct clap_event {
    uint32_t size, time;
    uint16_t space, type;
    uint32_t flags;
};

enum { CLAP_EVENT_PARAM_VALUE = 5 };

struct clap_param_value {
    struct clap_event header;
    uint32_t param_id;
    void *cookie;
    int32_t note_id;
    int16_t port_index, channel, key;
    double value;
};

struct clap_input_events {
    void *context;
    uint32_t (*size)(const struct clap_input_events *);
    const struct clap_event *(*get)(const struct clap_input_events *, uint32_t index);
};

struct clap_output_events {
    void *context;
    bool (*try_push)(const struct clap_output_events *, const struct clap_event *);
};

enum { CLAP_PROCESS_ERROR = 0, CLAP_PROCESS_CONTINUE = 1, CLAP_PROCESS_TAIL = 3 };

struct clap_process {
    int64_t steady_time;
    uint32_t frames_count;
    const void *transport;
    const struct clap_audio_buffer *audio_inputs;
    struct clap_audio_buffer *audio_outputs;
    uint32_t audio_inputs_count, audio_outputs_count;
    const struct clap_input_events *in_events;
    const struct clap_output_events *out_events;
};

struct clap_plugin {
    const struct clap_descriptor *descriptor;
    void *data;
    bool (*init)(const struct clap_plugin *);
    void (*destroy)(const struct clap_plugin *);
    bool (*activate)(const struct clap_plugin *, double rate, uint32_t least_frames, uint32_t most_frames);
    void (*deactivate)(const struct clap_plugin *);
    bool (*start_processing)(const struct clap_plugin *);
    void (*stop_processing)(const struct clap_plugin *);
    void (*reset)(const struct clap_plugin *);
    int32_t (*process)(const struct clap_plugin *, const struct clap_process *);
    const void *(*get_extension)(const struct clap_plugin *, const char *id);
    void (*on_main_thread)(const struct clap_plugin *);
};

struct clap_factory {
    uint32_t (*count)(const struct clap_factory *);
    const struct clap_descriptor *(*descriptor)(const struct clap_factory *, uint32_t index);
    const struct clap_plugin *(*create)(const struct clap_factory *, const struct clap_host *, const char *id);
};

struct clap_entry {
    struct clap_version version;
    bool (*init)(const char *path);
    void (*deinit)(void);
    const void *(*get_factory)(const char *id);
};

#define CLAP_PLUGIN_FACTORY "clap.plugin-factory"

/* --- extensions --------------------------------------------------------------------------------- */

#define CLAP_EXT_PARAMS "clap.params"
enum {
    CLAP_PARAM_IS_STEPPED = 1 << 0,
    CLAP_PARAM_IS_READONLY = 1 << 3,
    CLAP_PARAM_IS_BYPASS = 1 << 4,
    CLAP_PARAM_IS_AUTOMATABLE = 1 << 5,
};
enum { CLAP_RESCAN_VALUES = 1 << 0 };

struct clap_param_info {
    uint32_t id, flags;
    void *cookie;
    char name[256], module[1024];
    double min_value, max_value, default_value;
};

struct clap_params {
    uint32_t (*count)(const struct clap_plugin *);
    bool (*get_info)(const struct clap_plugin *, uint32_t index, struct clap_param_info *);
    bool (*get_value)(const struct clap_plugin *, uint32_t id, double *);
    bool (*value_to_text)(const struct clap_plugin *, uint32_t id, double value, char *, uint32_t room);
    bool (*text_to_value)(const struct clap_plugin *, uint32_t id, const char *text, double *);
    void (*flush)(const struct clap_plugin *, const struct clap_input_events *, const struct clap_output_events *);
};

struct clap_host_params {
    void (*rescan)(const struct clap_host *, uint32_t flags);
    void (*clear)(const struct clap_host *, uint32_t id, uint32_t flags);
    void (*request_flush)(const struct clap_host *);
};

#define CLAP_EXT_AUDIO_PORTS "clap.audio-ports"
enum { CLAP_AUDIO_PORT_IS_MAIN = 1 << 0 };

struct clap_audio_port {
    uint32_t id;
    char name[256];
    uint32_t flags, channel_count;
    const char *type;
    uint32_t in_place_pair;
};

struct clap_audio_ports {
    uint32_t (*count)(const struct clap_plugin *, bool is_input);
    bool (*get)(const struct clap_plugin *, uint32_t index, bool is_input, struct clap_audio_port *);
};

#define CLAP_EXT_STATE "clap.state"

struct clap_istream {
    void *context;
    int64_t (*read)(const struct clap_istream *, void *, uint64_t size);
};

struct clap_ostream {
    void *context;
    int64_t (*write)(const struct clap_ostream *, const void *, uint64_t size);
};

struct clap_state {
    bool (*save)(const struct clap_plugin *, const struct clap_ostream *);
    bool (*load)(const struct clap_plugin *, const struct clap_istream *);
};

#define CLAP_EXT_LATENCY "clap.latency"
#define CLAP_EXT_TAIL "clap.tail"

struct clap_number { /* both extensions have this one function */
    uint32_t (*get)(const struct clap_plugin *);
};

struct clap_host_changed { /* and hosts this one for both */
    void (*changed)(const struct clap_host *);
};

#endif
