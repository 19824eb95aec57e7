/* States as bytes, over the functions of afx.h.
 *
 * "AFX1", how many effects, their names in playing order, how many values, each a name and a double.
 * Numbers are 32 bit, a name is its length and its bytes. */
#include "afx.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "states are written as they lie in memory");

struct bytes {
    char *at;
    size_t size, used;
};

static void put(struct bytes *b, const void *from, size_t size) {
    if (b->used + size <= b->size)
        memcpy(b->at + b->used, from, size);
    b->used += size;
}

static void put_number(struct bytes *b, uint32_t number) { put(b, &number, sizeof number); }

static void put_name(struct bytes *b, const char *name) {
    put_number(b, (uint32_t)strlen(name));
    put(b, name, strlen(name));
}

size_t afx_save(const afx *a, void *bytes, size_t room) {
    struct bytes b = {bytes, room, 0};
    int order[AFX_MAX_EFFECTS];
    put(&b, "AFX1", 4);
    put_number(&b, (uint32_t)afx_effect_count());
    afx_order(a, order);
    for (int i = 0; i < afx_effect_count(); i++)
        put_name(&b, afx_effect_name(order[i]));
    put_number(&b, (uint32_t)afx_param_count());
    for (int i = 0; i < afx_param_count(); i++) {
        double value = afx_get(a, i);
        put_name(&b, afx_param_info(i)->path);
        put(&b, &value, sizeof value);
    }
    return b.used;
}

static bool get(struct bytes *b, void *into, size_t size) {
    if (size > b->size - b->used)
        return false;
    memcpy(into, b->at + b->used, size);
    b->used += size;
    return true;
}

/* Names longer than the room are cut: they are nobody's. */
static bool get_name(struct bytes *b, char name[64]) {
    uint32_t length;
    if (!get(b, &length, sizeof length) || length > b->size - b->used)
        return false;
    uint32_t kept = length < 63 ? length : 63;
    memcpy(name, b->at + b->used, kept);
    name[kept] = 0;
    b->used += length;
    return true;
}

bool afx_load(afx *a, const void *bytes, size_t size) {
    struct bytes b = {(char *)bytes, size, 0};
    char mark[4], name[64];
    uint32_t count;
    int order[AFX_MAX_EFFECTS], known = 0;
    double values[AFX_MAX_PARAMS];
    for (int i = 0; i < afx_param_count(); i++)
        values[i] = afx_param_info(i)->initial;
    if (!get(&b, mark, 4) || memcmp(mark, "AFX1", 4) != 0 || !get(&b, &count, sizeof count))
        return false;
    for (; count > 0; count--) {
        if (!get_name(&b, name))
            return false;
        for (int k = 0; k < afx_effect_count(); k++)
            if (strcmp(afx_effect_name(k), name) == 0) {
                if (known == afx_effect_count())
                    return false;
                order[known++] = k;
            }
    }
    if (!get(&b, &count, sizeof count))
        return false;
    for (; count > 0; count--) {
        double value;
        if (!get_name(&b, name) || !get(&b, &value, sizeof value) || value != value)
            return false;
        int param = afx_param_number(name);
        if (param >= 0)
            values[param] = value;
    }
    if (!afx_set_order(a, order, known))
        return false;
    for (int i = 0; i < afx_param_count(); i++)
        afx_set(a, i, values[i]);
    afx_cross_over(a);
    return true;
}
