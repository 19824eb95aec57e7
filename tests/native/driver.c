/* Play the library in every way, for valgrind and the sanitizers to watch. */
#include "afx.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t seed = 1;

static double uniform(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed / 4294967296.0;
}

int main(void) {
    static const double rates[] = {8000.0, 44100.0, 192000.0};
    enum { MOST = 3000 };
    float *sound[2] = {malloc(MOST * sizeof(float)), malloc(MOST * sizeof(float))};
    for (int level = 0; level < afx_level_count(); level++)
        for (int channels = 1; channels <= 2 && afx_level_runs(level); channels++)
            for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
                afx *a = afx_create_at(rates[r], channels, level);
                for (int turn = 0; turn < 12; turn++) {
                    for (int i = 0; i < afx_param_count(); i++)
                        if (uniform() < 0.7)
                            afx_set(a, i, afx_param_value(i, uniform()));
                    int order[] = {turn % afx_effect_count(), (turn + 2) % afx_effect_count()};
                    if (turn % 4 == 3 && !afx_set_order(a, order, 2))
                        return 1;
                    for (size_t frames = 0; frames < MOST; frames = 3 * frames + 1) {
                        for (int c = 0; c < channels; c++)
                            for (size_t n = 0; n < frames; n++)
                                sound[c][n] = (float)(uniform() - 0.5);
                        afx_process(a, (const float *const *)sound, sound, frames);
                    }
                    size_t size = afx_save(a, NULL, 0);
                    char *state = malloc(size);
                    if (afx_save(a, state, size) != size || !afx_load(a, state, size) || afx_load(a, state, size - 1))
                        return 1;
                    free(state);
                    if (turn % 5 == 4)
                        afx_reset(a);
                    for (int i = 0; i < afx_meter_count(); i++)
                        if (!(afx_meter(a, i) < 1e9))
                            return 1;
                    if (afx_latency(a) > 100 || afx_tail(a) > 60 * 192000)
                        return 1;
                }
                afx_destroy(a);
            }
    free(sound[0]);
    free(sound[1]);
    puts("done");
    return 0;
}
