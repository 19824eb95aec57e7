/* A CLAP plug-in around the library.
 *
 * Threads: the host's audio thread owns `engine`, its main thread owns `shown`, a copy that is never
 * played. Between them lies `shared`, one atomic for each value: the audio thread writes what automation
 * sets, the main thread what a state sets, and `loaded` tells the audio thread to take all of it.
 *
 * A parameter whose curve is not linear is 0..1 along its curve, as hosts draw straight lines.
 *
 * Meters follow the parameters: read-only ones, whose values leave as events 30 times a second. */
#include "afx.h"
#include "clap_abi.h"
#include "plugin_preset.h"
#include "spelling.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { METERS_HZ = 30 };
#define VERSION {1, 2, 0}

struct plugin {
    struct clap_plugin clap;
    const struct clap_host *host;
    int channels;
    afx *engine, *shown;
    _Atomic double shared[AFX_MAX_PARAMS];
    _Atomic uint64_t order; /* 4 bits for each of AFX_MAX_EFFECTS */
    atomic_bool loaded;
    uint32_t latency;
    bool restart_wanted;
    double rate;
    _Atomic double meters[AFX_MAX_METERS];
    uint32_t until_meters; /* frames until they are told again */
};

static struct plugin *of(const struct clap_plugin *clap) { return clap->data; }

/* --- parameters --------------------------------------------------------------------------------- */

/* FNV-1a of the path: the same in every version of the plug-in. */
static uint32_t hashed(uint32_t hash, const char *path) {
    for (const char *c = path; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    return hash;
}

static uint32_t id_of(int param) { return hashed(2166136261u, afx_param_info(param)->path); }

static uint32_t meter_id(int meter) { return hashed(hashed(2166136261u, "meter/"), afx_meter_name(meter)); }

static int meter_of(uint32_t id) {
    for (int i = 0; i < afx_meter_count(); i++)
        if (meter_id(i) == id)
            return i;
    return -1;
}

static int param_of(uint32_t id) {
    for (int i = 0; i < afx_param_count(); i++)
        if (id_of(i) == id)
            return i;
    return -1;
}

static double to_host(int param, double value) {
    return afx_param_info(param)->curve == AFX_LINEAR ? value : afx_param_unit(param, value);
}

static double from_host(int param, double value) {
    return afx_param_info(param)->curve == AFX_LINEAR ? value : afx_param_value(param, value);
}

static uint64_t packed_order(const afx *a) {
    int order[AFX_MAX_EFFECTS];
    uint64_t packed = 0;
    afx_order(a, order);
    for (int i = afx_effect_count() - 1; i >= 0; i--)
        packed = packed << 4 | (uint64_t)order[i];
    return packed;
}

static void take_shared(struct plugin *p, afx *a) {
    int order[AFX_MAX_EFFECTS];
    uint64_t packed = atomic_load(&p->order);
    for (int i = 0; i < afx_effect_count(); i++, packed >>= 4)
        order[i] = (int)(packed & 15);
    afx_set_order(a, order, afx_effect_count());
    for (int i = 0; i < afx_param_count(); i++)
        afx_set(a, i, atomic_load_explicit(&p->shared[i], memory_order_relaxed));
}

static void give_shared(struct plugin *p, const afx *a) {
    for (int i = 0; i < afx_param_count(); i++)
        atomic_store_explicit(&p->shared[i], afx_get(a, i), memory_order_relaxed);
    atomic_store(&p->order, packed_order(a));
}

/* Take one event; `a` is the instance to set, or NULL while there is none. */
static void take_event(struct plugin *p, afx *a, const struct clap_event *event) {
    if (event->space != 0 || event->type != CLAP_EVENT_PARAM_VALUE)
        return;
    const struct clap_param_value *e = (const void *)event;
    int param = param_of(e->param_id);
    if (param < 0 || e->value != e->value)
        return;
    afx *checked = a ? a : p->shown; /* it knows the range */
    afx_set(checked, param, from_host(param, e->value));
    atomic_store_explicit(&p->shared[param], afx_get(checked, param), memory_order_relaxed);
}

static uint32_t params_count(const struct clap_plugin *clap) {
    (void)clap;
    return (uint32_t)(afx_param_count() + afx_meter_count());
}

static bool meter_info(int meter, struct clap_param_info *info) {
    if (meter >= afx_meter_count())
        return false;
    memset(info, 0, sizeof *info);
    info->id = meter_id(meter);
    info->flags = CLAP_PARAM_IS_READONLY;
    snprintf(info->name, sizeof info->name, "%s", plugin_meters[meter]);
    snprintf(info->module, sizeof info->module, "meters");
    info->min_value = PLUGIN_METER_LOW_DB;
    info->max_value = PLUGIN_METER_HIGH_DB;
    return true;
}

static bool params_info(const struct clap_plugin *clap, uint32_t index, struct clap_param_info *info) {
    (void)clap;
    if (index >= (uint32_t)afx_param_count())
        return index < params_count(clap) && meter_info((int)index - afx_param_count(), info);
    const struct afx_param *p = afx_param_info((int)index);
    bool linear = p->curve == AFX_LINEAR;
    memset(info, 0, sizeof *info);
    info->id = id_of((int)index);
    info->flags = CLAP_PARAM_IS_AUTOMATABLE;
    info->flags |= p->is_switch ? CLAP_PARAM_IS_STEPPED : 0;
    info->flags |= index == PLUGIN_BYPASS ? CLAP_PARAM_IS_BYPASS : 0;
    snprintf(info->name, sizeof info->name, "%s", p->label);
    snprintf(info->module, sizeof info->module, "%s", p->effect);
    info->min_value = linear ? p->low : 0.0;
    info->max_value = linear ? p->high : 1.0;
    info->default_value = to_host((int)index, plugin_values[index]);
    return true;
}

static bool params_value(const struct clap_plugin *clap, uint32_t id, double *value) {
    int param = param_of(id), meter = meter_of(id);
    if (meter >= 0)
        *value = atomic_load_explicit(&of(clap)->meters[meter], memory_order_relaxed);
    if (param < 0)
        return meter >= 0;
    *value = to_host(param, atomic_load_explicit(&of(clap)->shared[param], memory_order_relaxed));
    return true;
}

static bool params_text(const struct clap_plugin *clap, uint32_t id, double value, char *text, uint32_t room) {
    (void)clap;
    int param = param_of(id);
    if (room == 0 || value != value)
        return false;
    if (meter_of(id) >= 0) {
        snprintf(text, room, "%.1f", value);
        point(text);
        return true;
    }
    if (param < 0)
        return false;
    spell(param, from_host(param, value), text, room);
    return true;
}

static bool params_from_text(const struct clap_plugin *clap, uint32_t id, const char *text, double *value) {
    (void)clap;
    int param = param_of(id);
    if (param < 0 || !read_spelled(param, text, value))
        return false;
    *value = to_host(param, *value);
    return true;
}

static void params_flush(const struct clap_plugin *clap, const struct clap_input_events *in,
                         const struct clap_output_events *out) {
    (void)out;
    for (uint32_t i = 0; in && i < in->size(in); i++)
        take_event(of(clap), of(clap)->engine, in->get(in, i));
}

static const struct clap_params params = {params_count, params_info, params_value, params_text, params_from_text, params_flush};

/* --- meters ------------------------------------------------------------------------------------- */

static double held(double db) {
    return db > PLUGIN_METER_LOW_DB ? db < PLUGIN_METER_HIGH_DB ? db : PLUGIN_METER_HIGH_DB : PLUGIN_METER_LOW_DB;
}

/* Tell the host what the meters read, if it is time; a value that it does not take now is told next time. */
static void tell_meters(struct plugin *p, uint32_t frames, const struct clap_output_events *out) {
    if (p->until_meters > frames) {
        p->until_meters -= frames;
        return;
    }
    uint32_t every = (uint32_t)(p->rate / METERS_HZ), late = frames - p->until_meters;
    p->until_meters = late < every ? every - late : 0;
    for (int i = 0; i < afx_meter_count(); i++) {
        double value = held(afx_meter(p->engine, i));
        if (value == atomic_load_explicit(&p->meters[i], memory_order_relaxed))
            continue;
        const struct clap_param_value event = {
            {sizeof event, frames ? frames - 1 : 0, 0, CLAP_EVENT_PARAM_VALUE, 0}, meter_id(i), NULL, -1, -1, -1, -1, value};
        if (!out || !out->try_push || out->try_push(out, &event.header))
            atomic_store_explicit(&p->meters[i], value, memory_order_relaxed);
    }
}

/* --- ports, latency, tail, state ---------------------------------------------------------------- */

static uint32_t ports_count(const struct clap_plugin *clap, bool is_input) {
    (void)clap, (void)is_input;
    return 1;
}

static bool ports_get(const struct clap_plugin *clap, uint32_t index, bool is_input, struct clap_audio_port *port) {
    if (index != 0)
        return false;
    memset(port, 0, sizeof *port);
    snprintf(port->name, sizeof port->name, "%s", is_input ? "In" : "Out");
    port->flags = CLAP_AUDIO_PORT_IS_MAIN;
    port->channel_count = (uint32_t)of(clap)->channels;
    port->type = of(clap)->channels == 1 ? "mono" : "stereo";
    return true; /* both have id 0, and may share their buffer */
}

static const struct clap_audio_ports ports = {ports_count, ports_get};

static uint32_t latency_get(const struct clap_plugin *clap) { return of(clap)->latency; }

static uint32_t tail_get(const struct clap_plugin *clap) {
    struct plugin *p = of(clap);
    uint64_t frames = p->engine ? afx_tail(p->engine) : 0;
    return frames < INT32_MAX ? (uint32_t)frames : INT32_MAX;
}

static const struct clap_number latency = {latency_get}, tail = {tail_get};

static bool state_save(const struct clap_plugin *clap, const struct clap_ostream *stream) {
    struct plugin *p = of(clap);
    take_shared(p, p->shown);
    size_t size = afx_save(p->shown, NULL, 0), done = 0;
    char *bytes = malloc(size);
    if (!bytes)
        return false;
    afx_save(p->shown, bytes, size);
    while (done < size) {
        int64_t written = stream->write(stream, bytes + done, size - done);
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    free(bytes);
    return done == size;
}

enum { MOST_STATE = 1 << 16 };

static bool state_load(const struct clap_plugin *clap, const struct clap_istream *stream) {
    struct plugin *p = of(clap);
    size_t size = 0;
    int64_t got;
    char *bytes = malloc(MOST_STATE);
    if (!bytes)
        return false;
    while (size < MOST_STATE && (got = stream->read(stream, bytes + size, MOST_STATE - size)) > 0)
        size += (size_t)got;
    bool taken = afx_load(p->shown, bytes, size);
    free(bytes);
    if (!taken)
        return false;
    give_shared(p, p->shown);
    atomic_store(&p->loaded, true);
    const struct clap_host_params *host = p->host->get_extension(p->host, CLAP_EXT_PARAMS);
    if (host)
        host->rescan(p->host, CLAP_RESCAN_VALUES);
    return true;
}

static const struct clap_state state = {state_save, state_load};

/* --- life --------------------------------------------------------------------------------------- */

static bool init(const struct clap_plugin *clap) {
    struct plugin *p = of(clap);
    p->shown = afx_create(48000.0, p->channels);
    if (!p->shown)
        return false;
    plugin_preset(p->shown);
    for (int i = 0; i < afx_meter_count(); i++)
        atomic_store_explicit(&p->meters[i], held(afx_meter(p->shown, i)), memory_order_relaxed);
    give_shared(p, p->shown);
    return true;
}

static void destroy(const struct clap_plugin *clap) {
    struct plugin *p = of(clap);
    afx_destroy(p->engine);
    afx_destroy(p->shown);
    free(p);
}

static bool activate(const struct clap_plugin *clap, double rate, uint32_t least, uint32_t most) {
    (void)least, (void)most;
    struct plugin *p = of(clap);
    p->engine = afx_create(rate, p->channels);
    if (!p->engine)
        return false;
    atomic_store(&p->loaded, false);
    take_shared(p, p->engine);
    p->restart_wanted = false;
    p->rate = rate;
    p->until_meters = 0;
    p->latency = afx_latency(p->engine);
    return true;
}

static void deactivate(const struct clap_plugin *clap) {
    struct plugin *p = of(clap);
    afx_destroy(p->engine);
    p->engine = NULL;
}

static bool start_processing(const struct clap_plugin *clap) { return of(clap)->engine != NULL; }

static void stop_processing(const struct clap_plugin *clap) { (void)clap; }

static void reset(const struct clap_plugin *clap) {
    if (of(clap)->engine)
        afx_reset(of(clap)->engine);
}

static int32_t process(const struct clap_plugin *clap, const struct clap_process *block) {
    struct plugin *p = of(clap);
    const struct clap_audio_buffer *in = block->audio_inputs;
    struct clap_audio_buffer *out = block->audio_outputs;
    if (!p->engine || block->audio_inputs_count < 1 || block->audio_outputs_count < 1 || !in->data32 || !out->data32 ||
        in->channel_count < (uint32_t)p->channels || out->channel_count < (uint32_t)p->channels)
        return CLAP_PROCESS_ERROR;
    if (atomic_exchange(&p->loaded, false)) {
        take_shared(p, p->engine);
        afx_cross_over(p->engine);
    }
    const struct clap_input_events *events = block->in_events;
    uint32_t count = events ? events->size(events) : 0, next = 0;
    for (uint32_t done = 0; done < block->frames_count || next < count;) {
        uint32_t end = block->frames_count;
        for (; next < count; next++) {
            const struct clap_event *event = events->get(events, next);
            if (event->time > done && event->time < block->frames_count) {
                end = event->time;
                break;
            }
            take_event(p, p->engine, event);
        }
        const float *from[2];
        float *to[2];
        for (int c = 0; c < p->channels; c++) {
            from[c] = in->data32[c] + done;
            to[c] = out->data32[c] + done;
        }
        afx_process(p->engine, from, to, end - done);
        done = end;
    }
    out->constant_mask = 0;
    tell_meters(p, block->frames_count, block->out_events);
    if (afx_latency(p->engine) != p->latency && !p->restart_wanted) {
        p->restart_wanted = true; /* it may change between activations only */
        p->host->request_restart(p->host);
    }
    return CLAP_PROCESS_CONTINUE;
}

static const void *get_extension(const struct clap_plugin *clap, const char *id) {
    (void)clap;
    const struct {
        const char *id;
        const void *extension;
    } there[] = {{CLAP_EXT_PARAMS, &params}, {CLAP_EXT_AUDIO_PORTS, &ports}, {CLAP_EXT_STATE, &state},
                 {CLAP_EXT_LATENCY, &latency}, {CLAP_EXT_TAIL, &tail}};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        if (strcmp(there[i].id, id) == 0)
            return there[i].extension;
    return NULL;
}

static void on_main_thread(const struct clap_plugin *clap) { (void)clap; }

#include "clap_entry.h"
