/* Values of parameters as people read and write them: "-18.000 dB", "12.5 kHz", "on". Whatever the locale. */
#ifndef AFX_SPELLING_H
#define AFX_SPELLING_H

#include "afx.h"

#include <stdio.h>
#include <string.h>

/* Have a point as the decimal sign, whatever the locale. */
static void point(char *text) {
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '.';
}

static void spell(int param, double value, char *text, size_t room) {
    const struct afx_param *p = afx_param_info(param);
    const char *unit = strcmp(p->unit, "db") == 0 ? "dB" : strcmp(p->unit, "hz") == 0 ? "Hz" : p->unit;
    if (p->is_switch)
        snprintf(text, room, "%s", value >= 0.5 ? "on" : "off");
    else
        snprintf(text, room, "%.*f%s%s", strcmp(unit, "Hz") == 0 ? 1 : 3, value, *unit ? " " : "", unit);
    point(text);
}

/* Read a value, into its range; false for what is none. */
static bool read_spelled(int param, const char *text, double *value) {
    const struct afx_param *p = afx_param_info(param);
    double number = 0.0, place = 1.0;
    bool minus = false, digits = false;
    while (*text == ' ')
        text++;
    if (strcmp(text, "on") == 0 || strcmp(text, "off") == 0) {
        *value = text[1] == 'n';
        return p->is_switch;
    }
    if (*text == '-' || *text == '+')
        minus = *text++ == '-';
    for (; *text >= '0' && *text <= '9'; text++, digits = true)
        number = 10.0 * number + (*text - '0');
    if (*text == '.' || *text == ',')
        for (text++; *text >= '0' && *text <= '9'; text++, digits = true)
            number += (*text - '0') * (place /= 10.0);
    while (*text == ' ')
        text++;
    if (*text == 'k')
        number *= 1000.0;
    number = minus ? -number : number;
    *value = number < p->low ? p->low : number > p->high ? p->high : number;
    return digits;
}

#endif
