/* An LV2 plug-in around the library. Values come through control ports, which hosts save themselves; the
 * playing order is one string of state. Ports, as the bundle's Turtle has them: sound in, sound out, the
 * parameters by number, the latency, the meters. */
#include "afx.h"
#include "lv2_abi.h"
#include "plugin_preset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct plugin {
    afx *engine;
    int channels;
    const float *in[2];
    float *out[2];
    const float *control[AFX_MAX_PARAMS];
    float seen[AFX_MAX_PARAMS];
    float *latency, *meter[AFX_MAX_METERS];
    struct lv2_urid_map *map;
};

/* Six significant digits survive float32: the value a preset holds, not its nearest float. */
static double six_digits(float value) {
    if (value == 0.0f || !isfinite(value))
        return value;
    int digits = 5 - (int)floor(log10(fabs((double)value)));
    double scale = pow(10.0, abs(digits));
    return digits >= 0 ? round(value * scale) / scale : round(value / scale) * scale;
}

static lv2_handle instantiate(const struct lv2_descriptor *d, double rate, const char *bundle,
                              const struct lv2_feature *const *features) {
    (void)bundle;
    struct plugin *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->channels = strcmp(d->uri, PLUGIN_URI_MONO) == 0 ? 1 : 2;
    p->engine = afx_create(rate, p->channels);
    if (!p->engine) {
        free(p);
        return NULL;
    }
    plugin_preset(p->engine);
    for (int i = 0; i < afx_param_count(); i++)
        p->seen[i] = NAN;
    for (int i = 0; features && features[i]; i++)
        if (strcmp(features[i]->uri, LV2_URID_MAP) == 0)
            p->map = features[i]->data;
    return p;
}

static void connect_port(lv2_handle handle, uint32_t port, void *data) {
    struct plugin *p = handle;
    const uint32_t audio = 2 * (uint32_t)p->channels, params = (uint32_t)afx_param_count();
    if (port < (uint32_t)p->channels)
        p->in[port] = data;
    else if (port < audio)
        p->out[port - (uint32_t)p->channels] = data;
    else if (port < audio + params)
        p->control[port - audio] = data;
    else if (port == audio + params)
        p->latency = data;
    else if (port - audio - params - 1 < (uint32_t)afx_meter_count())
        p->meter[port - audio - params - 1] = data;
}

static void activate(lv2_handle handle) { afx_reset(((struct plugin *)handle)->engine); }

static void run(lv2_handle handle, uint32_t frames) {
    struct plugin *p = handle;
    for (int i = 0; i < afx_param_count(); i++)
        if (p->control[i] && *p->control[i] != p->seen[i]) {
            p->seen[i] = *p->control[i];
            /* LV2 names the port "enabled", and hosts know it by that: the opposite of bypass. */
            afx_set(p->engine, i, i == PLUGIN_BYPASS ? p->seen[i] <= 0.0f : six_digits(p->seen[i]));
        }
    afx_process(p->engine, p->in, p->out, frames);
    if (p->latency)
        *p->latency = (float)afx_latency(p->engine);
    for (int i = 0; i < afx_meter_count(); i++)
        if (p->meter[i])
            *p->meter[i] = (float)afx_meter(p->engine, i);
}

static void cleanup(lv2_handle handle) {
    struct plugin *p = handle;
    afx_destroy(p->engine);
    free(p);
}

/* --- state -------------------------------------------------------------------------------------- */

enum { MOST_ORDER = 512 };

static int save(lv2_handle handle, lv2_store store, void *to, uint32_t flags, const struct lv2_feature *const *f) {
    (void)flags, (void)f;
    struct plugin *p = handle;
    char text[MOST_ORDER] = "";
    int order[AFX_MAX_EFFECTS];
    if (!p->map)
        return LV2_STATE_ERR_UNKNOWN;
    afx_order(p->engine, order);
    for (int i = 0; i < afx_effect_count(); i++) {
        const char *name = afx_effect_name(order[i]);
        if (strlen(text) + strlen(name) + 2 > sizeof text)
            return LV2_STATE_ERR_UNKNOWN;
        strcat(strcat(text, i ? " " : ""), name);
    }
    return store(to, p->map->map(p->map->handle, PLUGIN_ORDER), text, strlen(text) + 1,
                 p->map->map(p->map->handle, LV2_ATOM_STRING), LV2_STATE_IS_POD | LV2_STATE_IS_PORTABLE);
}

static int restore(lv2_handle handle, lv2_retrieve get, void *from, uint32_t flags, const struct lv2_feature *const *f) {
    (void)f;
    struct plugin *p = handle;
    size_t size = 0;
    uint32_t type = 0;
    int order[AFX_MAX_EFFECTS], count = 0;
    if (!p->map)
        return LV2_STATE_ERR_UNKNOWN;
    const char *text = get(from, p->map->map(p->map->handle, PLUGIN_ORDER), &size, &type, &flags);
    if (!text || type != p->map->map(p->map->handle, LV2_ATOM_STRING) || !size || text[size - 1])
        return LV2_STATE_ERR_NO_PROPERTY;
    while (*text && count < AFX_MAX_EFFECTS) {
        size_t length = strcspn(text, " ");
        for (int k = 0; k < afx_effect_count(); k++)
            if (strlen(afx_effect_name(k)) == length && strncmp(afx_effect_name(k), text, length) == 0)
                order[count++] = k;
        text += length;
        text += strspn(text, " ");
    }
    return afx_set_order(p->engine, order, count) ? LV2_STATE_SUCCESS : LV2_STATE_ERR_UNKNOWN;
}

static const void *extension_data(const char *uri) {
    static const struct lv2_state state = {save, restore};
    return strcmp(uri, LV2_STATE_INTERFACE) == 0 ? &state : NULL;
}

__attribute__((visibility("default"))) const struct lv2_descriptor *lv2_descriptor(uint32_t index) {
    static const struct lv2_descriptor plugins[] = {
        {PLUGIN_URI_STEREO, instantiate, connect_port, activate, run, NULL, cleanup, extension_data},
        {PLUGIN_URI_MONO, instantiate, connect_port, activate, run, NULL, cleanup, extension_data},
    };
    return index < 2 ? &plugins[index] : NULL;
}
