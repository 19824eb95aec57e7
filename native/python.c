/* What `dsp/library.py` asks of the library that comes with the package: functions by name and level. */
#include "afx.h"

#include <stddef.h>
#include <string.h>

#include "afx_functions.h"

/* Give the function of that name, compiled for a level; NULL if there is none. */
AFX_API void *afx_function(int level, const char *name);
/* Give the hash of what the library was compiled from, and the files, a line each. */
AFX_API const char *afx_sources(void);

void *afx_function(int level, const char *name) {
    if (level >= 0 && level < AFX_FUNCTION_LEVELS)
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
            if (strcmp(functions[i].name, name) == 0)
                return (void *)functions[i].at[level];
    return NULL;
}

const char *afx_sources(void) { return sources; }
