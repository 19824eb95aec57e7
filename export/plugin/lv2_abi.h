/* The parts of LV2's binary interface that lv2.c uses, declared from the specifications of LV2 core, urid,
 * atom and state (https://lv2plug.in/ns/): a plug-in is built without anything but a C compiler. */
#ifndef AFX_LV2_ABI_H
#define AFX_LV2_ABI_H

#include <stddef.h>
#include <stdint.h>

#define LV2_URID_MAP "http://lv2plug.in/ns/ext/urid#map"
#define LV2_ATOM_STRING "http://lv2plug.in/ns/ext/atom#String"
#define LV2_STATE_INTERFACE "http://lv2plug.in/ns/ext/state#interface"

typedef void *lv2_handle;

struct lv2_feature {
    const char *uri;
    void *data;
};

struct lv2_descriptor {
    const char *uri;
    lv2_handle (*instantiate)(const struct lv2_descriptor *, double rate, const char *bundle,
                              const struct lv2_feature *const *);
    void (*connect_port)(lv2_handle, uint32_t port, void *data);
    void (*activate)(lv2_handle);
    void (*run)(lv2_handle, uint32_t frames);
    void (*deactivate)(lv2_handle);
    void (*cleanup)(lv2_handle);
    const void *(*extension_data)(const char *uri);
};

struct lv2_urid_map {
    void *handle;
    uint32_t (*map)(void *handle, const char *uri);
};

enum { LV2_STATE_SUCCESS = 0, LV2_STATE_ERR_UNKNOWN = 1, LV2_STATE_ERR_NO_PROPERTY = 5 };
enum { LV2_STATE_IS_POD = 1, LV2_STATE_IS_PORTABLE = 2 };

typedef int (*lv2_store)(void *, uint32_t key, const void *value, size_t size, uint32_t type, uint32_t flags);
typedef const void *(*lv2_retrieve)(void *, uint32_t key, size_t *size, uint32_t *type, uint32_t *flags);

struct lv2_state {
    int (*save)(lv2_handle, lv2_store, void *, uint32_t flags, const struct lv2_feature *const *);
    int (*restore)(lv2_handle, lv2_retrieve, void *, uint32_t flags, const struct lv2_feature *const *);
};

#endif
