/* How a host finds the plug-ins in the file: included by clap.c, whose functions it names. */
/* --- factory ------------------------------------------------------------------------------------ */

static const char *const stereo_features[] = {"audio-effect", "stereo", NULL};
static const char *const mono_features[] = {"audio-effect", "mono", NULL};
static const struct clap_descriptor descriptors[] = {
    {VERSION, PLUGIN_ID, PLUGIN_NAME, PLUGIN_VENDOR, "", "", "", PLUGIN_VERSION, PLUGIN_TEXT, stereo_features},
    {VERSION, PLUGIN_ID ".mono", PLUGIN_NAME " (mono)", PLUGIN_VENDOR, "", "", "", PLUGIN_VERSION, PLUGIN_TEXT,
     mono_features},
};

static uint32_t factory_count(const struct clap_factory *factory) {
    (void)factory;
    return sizeof descriptors / sizeof *descriptors;
}

static const struct clap_descriptor *factory_descriptor(const struct clap_factory *factory, uint32_t index) {
    return index < factory_count(factory) ? &descriptors[index] : NULL;
}

static const struct clap_plugin *factory_create(const struct clap_factory *factory, const struct clap_host *host,
                                                const char *id) {
    for (uint32_t i = 0; i < factory_count(factory); i++) {
        if (strcmp(id, descriptors[i].id) != 0 || host->version.major < 1)
            continue;
        struct plugin *p = calloc(1, sizeof *p);
        if (!p)
            return NULL;
        p->host = host;
        p->channels = i == 0 ? 2 : 1;
        p->clap = (struct clap_plugin){&descriptors[i], p, init, destroy, activate, deactivate, start_processing,
                                       stop_processing, reset, process, get_extension, on_main_thread};
        return &p->clap;
    }
    return NULL;
}

static bool entry_init(const char *path) {
    (void)path;
    return true;
}

static void entry_deinit(void) {}

static const void *entry_factory(const char *id) {
    static const struct clap_factory factory = {factory_count, factory_descriptor, factory_create};
    return strcmp(id, CLAP_PLUGIN_FACTORY) == 0 ? &factory : NULL;
}

__attribute__((visibility("default"))) const struct clap_entry clap_entry = {VERSION, entry_init, entry_deinit,
                                                                            entry_factory};
