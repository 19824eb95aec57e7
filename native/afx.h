/* afx: the engine of afx-live as a C library. One instance plays one chain on mono or stereo sound.
 *
 * No function but afx_create allocates, and afx_process neither locks, waits nor fails. One instance
 * may be used by one thread at a time; different instances know nothing of each other. Sound is
 * float32, full scale is 1; times are in frames. The samples are those of `afx-live render`.
 *
 * Parameters are numbered; afx_param_info says what each is. Their values are in their own units. A
 * new value is glided to in 20 ms from the frame that is processed next.
 */
#ifndef AFX_H
#define AFX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef AFX_API
#define AFX_API
#endif

enum { AFX_LINEAR, AFX_LOG, AFX_SLOPE };
enum { AFX_MAX_EFFECTS = 16, AFX_MAX_PARAMS = 256, AFX_MAX_METERS = 64 }; /* no library has more */

struct afx_param {
    const char *path;   /* "compressor/ratio"; stable */
    const char *effect; /* "" for the whole chain */
    const char *label;
    const char *unit; /* "db", "hz", "ms", "s" or "" */
    const char *doc;
    double low, high, initial;
    double neutral;  /* where it does nothing, for what the amount moves; else NaN */
    int curve;       /* what is even to the ear: value, logarithm, or 1 - 1 / value */
    int is_switch;   /* only 0 and 1 */
};

typedef struct afx afx;

AFX_API int afx_param_count(void);
AFX_API const struct afx_param *afx_param_info(int param);
AFX_API int afx_param_number(const char *path); /* -1 if there is none */
/* Map 0..1 to a parameter's values along its curve, and back. */
AFX_API double afx_param_value(int param, double unit);
AFX_API double afx_param_unit(int param, double value);

AFX_API int afx_effect_count(void);
AFX_API const char *afx_effect_name(int effect);

/* Instruction-set levels that the library was compiled for, worst first. */
AFX_API int afx_level_count(void);
AFX_API const char *afx_level_name(int level);
AFX_API bool afx_level_runs(int level); /* on this processor */

/* 1 or 2 channels; NULL for any other number, for a rate outside 8 to 192 kHz, for a processor that no
 * level runs on, and without memory. The second chooses the level itself; -1 is the best one. */
AFX_API afx *afx_create(double sample_rate, int channels);
AFX_API afx *afx_create_at(double sample_rate, int channels, int level);
AFX_API void afx_destroy(afx *);

AFX_API void afx_set(afx *, int param, double value); /* into its range; NaN and unknown numbers change nothing */
AFX_API double afx_get(const afx *, int param);
/* The playing order: effects by number. Those left out follow in their own order. false: not a list of
 * different effects. Another order crosses over in 30 ms. */
AFX_API bool afx_set_order(afx *, const int *effects, int count);
AFX_API void afx_order(const afx *, int *effects); /* room for afx_effect_count() */
AFX_API void afx_cross_over(afx *);                /* the next change of values crosses over, too */

/* Any number of frames, none included. in and out are one pointer for each channel; they may be the same. */
AFX_API void afx_process(afx *, const float *const *in, float *const *out, size_t frames);
AFX_API void afx_reset(afx *); /* silence behind, values as they are and arrived at */

AFX_API uint32_t afx_latency(const afx *); /* changes with the switches of effects that are late */
AFX_API uint64_t afx_tail(const afx *);    /* until what went in has fallen by 120 dB */

/* What the engine measures, by number: afx_meter_name names it; in dB or LUFS, -120 and more. */
AFX_API int afx_meter_count(void);
AFX_API const char *afx_meter_name(int meter);
AFX_API double afx_meter(const afx *, int meter);

/* Values and order as bytes, for any version of the library: unknown names are passed over, missing ones
 * are at their defaults. afx_save returns the bytes needed, and writes them if they fit. afx_load crosses
 * over; false and no change for what is not a state. */
AFX_API size_t afx_save(const afx *, void *bytes, size_t room);
AFX_API bool afx_load(afx *, const void *bytes, size_t size);

#endif
