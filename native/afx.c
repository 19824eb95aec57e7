/* See afx.h. The sound is made by compiled numba functions (afx_generated.h names them); this file
 * gives them memory, and turns numbered parameters into the commands that the engine takes. */
#include "afx.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(void *) == 8 && sizeof(int) == 4, "addresses are handed over as int64_t");

#include "afx_generated.h"

_Static_assert(AFX_EFFECTS <= AFX_MAX_EFFECTS && AFX_PARAMS <= AFX_MAX_PARAMS && AFX_METERS <= AFX_MAX_METERS,
               "what states and plug-ins have room for");

enum { PIECE = 512 };

struct afx {
    struct afx_instance engine;
    const struct afx_level *level;
    struct afx_meters *meters;
    struct afx_command *commands;
    int64_t address[AFX_EFFECTS][2], size[AFX_EFFECTS], place[2];
    double values[AFX_PARAMS];
    int order[AFX_EFFECTS];
    int64_t generation, busy_until; /* the frame at which a cross-over under way ends */
    bool changed, crossing;
    char *fresh; /* what afx_reset clears */
    size_t fresh_size;
    float in[PIECE * 2], out[PIECE * 2];
};

/* --- what there is ------------------------------------------------------------------------------ */

int afx_param_count(void) { return AFX_PARAMS; }

const struct afx_param *afx_param_info(int param) {
    return param >= 0 && param < AFX_PARAMS ? &afx_params[param] : NULL;
}

int afx_param_number(const char *path) {
    for (int i = 0; i < AFX_PARAMS; i++)
        if (strcmp(afx_params[i].path, path) == 0)
            return i;
    return -1;
}

static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

/* The arithmetic of Param.value and Param.unit, operation by operation. */
static double value_at(const struct afx_param *p, double unit) {
    if (p->curve == AFX_LOG)
        return p->low * pow(p->high / p->low, unit);
    if (p->curve == AFX_SLOPE)
        return 1.0 / (1.0 / p->low + (1.0 / p->high - 1.0 / p->low) * unit);
    return p->low + (p->high - p->low) * unit;
}

static double unit_of(const struct afx_param *p, double value) {
    if (p->curve == AFX_LOG)
        return log(value / p->low) / log(p->high / p->low);
    if (p->curve == AFX_SLOPE)
        return (1.0 / value - 1.0 / p->low) / (1.0 / p->high - 1.0 / p->low);
    return (value - p->low) / (p->high - p->low);
}

double afx_param_value(int param, double unit) {
    const struct afx_param *p = afx_param_info(param);
    return p ? clamp(value_at(p, clamp(unit, 0.0, 1.0)), p->low, p->high) : NAN;
}

double afx_param_unit(int param, double value) {
    const struct afx_param *p = afx_param_info(param);
    return p ? clamp(unit_of(p, clamp(value, p->low, p->high)), 0.0, 1.0) : NAN;
}

int afx_effect_count(void) { return AFX_EFFECTS; }

const char *afx_effect_name(int effect) {
    return effect >= 0 && effect < AFX_EFFECTS ? afx_effects[effect].name : NULL;
}

int afx_level_count(void) { return AFX_LEVELS; }

const char *afx_level_name(int level) { return level >= 0 && level < AFX_LEVELS ? afx_levels[level].name : NULL; }

bool afx_level_runs(int level) {
    const char *name = afx_level_name(level);
    if (!name)
        return false;
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt");
    bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
              __builtin_cpu_supports("bmi2");
    bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    if (strcmp(name, "x86-64-v2") == 0)
        return v2;
    if (strcmp(name, "x86-64-v3") == 0)
        return v3;
    if (strcmp(name, "x86-64-v4") == 0)
        return v4;
    return false;
#else
    return true;
#endif
}

/* --- one instance ------------------------------------------------------------------------------- */

static char *take(char **at, size_t bytes) {
    char *here = *at;
    *at += (bytes + 63) / 64 * 64;
    return here;
}

/* Lay the instance out in memory from `base` on; with base NULL only the size counts. */
static size_t lay_out(afx *a, char *base, int64_t room) {
    char *at = base;
    struct afx_instance *e = &a->engine;
    a->fresh = at;
    e->meters = (intptr_t)take(&at, sizeof(struct afx_meters));
    e->commands = (intptr_t)take(&at, 2 * sizeof(struct afx_command));
    e->command = (intptr_t)take(&at, sizeof(struct afx_command));
    e->engine = (intptr_t)take(&at, AFX_ENGINE_SIZE);
    e->players = (intptr_t)take(&at, 2 * AFX_PLAYER_SIZE);
    e->in_loudness = (intptr_t)take(&at, AFX_LOUDNESS_SIZE * sizeof(double));
    e->out_loudness = (intptr_t)take(&at, AFX_LOUDNESS_SIZE * sizeof(double));
    a->fresh_size = (size_t)(at - a->fresh);
    e->ring = (intptr_t)take(&at, AFX_RING * 2 * sizeof(float));
    e->effect_state = (intptr_t)take(&at, 2 * AFX_SLOTS * (size_t)room * sizeof(double)); /* the engine clears what it uses */
    return (size_t)(at - base);
}

afx *afx_create(double sample_rate, int channels) {
    for (int level = AFX_LEVELS - 1; level >= 0; level--)
        if (afx_level_runs(level))
            return afx_create_at(sample_rate, channels, level);
    return NULL;
}

afx *afx_create_at(double sample_rate, int channels, int level) {
    if (!(sample_rate >= AFX_MIN_RATE && sample_rate <= AFX_MAX_RATE) || channels < 1 || channels > 2 ||
        !afx_level_runs(level))
        return NULL;
    const struct afx_level *l = &afx_levels[level];
    afx draft;
    int64_t room = 1;
    for (int k = 0; k < AFX_EFFECTS; k++) {
        draft.size[k] = l->size[k](sample_rate, 2);
        room = draft.size[k] > room ? draft.size[k] : room;
    }
    size_t own = (sizeof(afx) + 63) / 64 * 64;
    afx *a = calloc(1, own + lay_out(&draft, NULL, room));
    if (!a)
        return NULL;
    lay_out(a, (char *)a + own, room);
    a->level = l;
    a->meters = (struct afx_meters *)(intptr_t)a->engine.meters;
    a->commands = (struct afx_command *)(intptr_t)a->engine.commands;
    for (int k = 0; k < AFX_EFFECTS; k++) {
        a->address[k][0] = (intptr_t)l->design[k];
        a->address[k][1] = (intptr_t)l->kernel[k];
        a->size[k] = draft.size[k];
        a->order[k] = k;
    }
    a->place[1] = channels - 1;
    a->engine.address = (intptr_t)a->address;
    a->engine.log = (intptr_t)afx_log;
    a->engine.params = (intptr_t)afx_counts;
    a->engine.state_size = (intptr_t)a->size;
    a->engine.gauge = (intptr_t)afx_gauge;
    a->engine.source = a->engine.sink = (intptr_t)a->place;
    a->engine.rate = sample_rate;
    a->engine.channels = channels;
    a->engine.room = room;
    for (int i = 0; i < AFX_PARAMS; i++)
        a->values[i] = afx_params[i].initial;
    afx_reset(a);
    return a;
}

void afx_destroy(afx *a) { free(a); }

void afx_reset(afx *a) {
    memset(a->fresh, 0, a->fresh_size);
    a->level->begin((intptr_t)&a->engine);
    a->generation = 1; /* the engine begins with these values, not from others */
    a->busy_until = 0;
    a->changed = true;
    a->crossing = false;
}

void afx_set(afx *a, int param, double value) {
    const struct afx_param *p = afx_param_info(param);
    if (!p || value != value)
        return;
    value = clamp(value, p->low, p->high);
    if (p->is_switch)
        value = value >= 0.5;
    if (a->values[param] != value) {
        a->values[param] = value;
        a->changed = true;
    }
}

double afx_get(const afx *a, int param) { return param >= 0 && param < AFX_PARAMS ? a->values[param] : NAN; }

bool afx_set_order(afx *a, const int *effects, int count) {
    bool there[AFX_EFFECTS] = {false};
    int wanted[AFX_EFFECTS], n = 0;
    for (int i = 0; i < count; i++) {
        if (effects[i] < 0 || effects[i] >= AFX_EFFECTS || there[effects[i]])
            return false;
        there[effects[i]] = true;
        wanted[n++] = effects[i];
    }
    for (int k = 0; k < AFX_EFFECTS; k++)
        if (!there[k])
            wanted[n++] = k;
    if (memcmp(wanted, a->order, sizeof wanted) != 0) {
        memcpy(a->order, wanted, sizeof wanted);
        a->changed = a->crossing = true;
    }
    return true;
}

void afx_order(const afx *a, int *effects) { memcpy(effects, a->order, sizeof a->order); }

void afx_cross_over(afx *a) { a->changed = a->crossing = true; }

/* A value as the amount leaves it: Param.at_amount in effects/_effect.py, clipped. */
static double scaled(const afx *a, int param) {
    const struct afx_param *p = &afx_params[param];
    double amount = a->values[AFX_AMOUNT];
    if (p->neutral != p->neutral || amount == 1.0)
        return a->values[param];
    double neutral = unit_of(p, p->neutral);
    return clamp(value_at(p, neutral + amount * (unit_of(p, a->values[param]) - neutral)), p->low, p->high);
}

/* Hand the values to the engine, which takes them at the start of what it plays next. */
static void publish(afx *a) {
    struct afx_command *c = &a->commands[(a->meters->sequence + 1) % 2];
    const int last = AFX_EFFECTS + 1;
    if (a->crossing && a->meters->sequence > 0) {
        a->generation++;
        a->busy_until = a->meters->clock + (int64_t)(AFX_CROSSFADE_S * a->engine.rate);
    }
    memset(c, 0, sizeof *c);
    c->generation = a->generation;
    c->bypass = a->values[AFX_BYPASS];
    c->dry_gain = 1.0;
    c->count = last + 1;
    c->kind[0] = c->kind[last] = AFX_GAIN_KIND;
    c->on[0] = c->on[last] = 1.0;
    c->values[0][0] = a->values[AFX_INPUT_GAIN_DB];
    c->values[last][0] = a->values[AFX_OUTPUT_GAIN_DB];
    for (int i = 0; i < AFX_EFFECTS; i++) {
        const struct afx_effect *e = &afx_effects[a->order[i]];
        c->kind[i + 1] = e->kind;
        c->on[i + 1] = a->values[e->first];
        for (int p = 0; p < e->count; p++)
            c->values[i + 1][p] = scaled(a, e->first + 1 + p);
    }
    a->meters->sequence++;
    a->changed = a->crossing = false;
}

void afx_process(afx *a, const float *const *in, float *const *out, size_t frames) {
    const int channels = (int)a->engine.channels;
    for (size_t done = 0; done < frames;) {
        /* One cross-over after the other: the next begins at the frame at which this one ends, in blocks of any size. */
        int64_t wait = a->crossing ? a->busy_until - a->meters->clock : 0;
        size_t count = frames - done < PIECE ? frames - done : PIECE;
        if (a->changed && wait <= 0)
            publish(a);
        else if (a->changed && (size_t)wait < count)
            count = (size_t)wait;
        for (int c = 0; c < channels; c++)
            for (size_t n = 0; n < count; n++)
                a->in[(size_t)channels * n + (size_t)c] = in[c][done + n];
        a->level->play((intptr_t)a->in, (intptr_t)a->out, (int64_t)count, (intptr_t)&a->engine);
        for (int c = 0; c < channels; c++)
            for (size_t n = 0; n < count; n++)
                out[c][done + n] = a->out[(size_t)channels * n + (size_t)c];
        done += count;
    }
}

uint32_t afx_latency(const afx *a) {
    int frames = AFX_ENGINE_LATENCY;
    for (int k = 0; k < AFX_EFFECTS; k++)
        frames += a->values[afx_effects[k].first] != 0.0 ? afx_effects[k].latency : 0;
    return (uint32_t)frames;
}

uint64_t afx_tail(const afx *a) {
    double seconds = 0.0;
    for (int k = 0; k < AFX_EFFECTS; k++) {
        const struct afx_effect *e = &afx_effects[k];
        double values[AFX_PLACES];
        if (a->values[e->first] == 0.0 || !a->level->tail[e->kind])
            continue;
        for (int p = 0; p < e->count; p++)
            values[p] = scaled(a, e->first + 1 + p);
        seconds += a->level->tail[e->kind]((intptr_t)values);
    }
    return (uint64_t)ceil(seconds * a->engine.rate) + afx_latency(a);
}

/* --- meters ------------------------------------------------------------------------------------- */

int afx_meter_count(void) { return AFX_METERS; }

const char *afx_meter_name(int meter) { return meter >= 0 && meter < AFX_METERS ? afx_metered[meter].name : NULL; }

static double held(double db) { return db > AFX_METER_LOW_DB ? db : AFX_METER_LOW_DB; }

static double decibels(double level) { return level > 0.0 ? held(20.0 * log10(level)) : AFX_METER_LOW_DB; }

double afx_meter(const afx *a, int meter) {
    const struct afx_meters *m = a->meters;
    switch (meter) {
    case AFX_IN_LUFS:
        return held(m->in_lufs);
    case AFX_OUT_LUFS:
        return held(m->out_lufs);
    case AFX_IN_PEAK_DB:
        return decibels(m->in_peak);
    case AFX_OUT_PEAK_DB:
        return decibels(m->out_peak);
    case AFX_CEILING_DB:
        return m->clock ? decibels(m->ceiling_gain) : 0.0;
    }
    if (meter >= 0 && meter < AFX_METERS)
        for (int i = 0; i < AFX_EFFECTS; i++)
            if (a->order[i] == afx_metered[meter].effect)
                return m->gain_reduction_db[i + 1];
    return 0.0;
}
