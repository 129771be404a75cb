/* Native code of an app, built against what it finds in the AAR: cargo xtask aar. */
#include <openrtmp.h>

/* Serves, tells at which port, and stops. */
int32_t app_serve(uint32_t *port) {
    openrtmp_config *config = NULL;
    openrtmp_server *server = NULL;
    int32_t result = openrtmp_config_new(OPENRTMP_PROFILE_MOBILE, &config);
    if (result != OPENRTMP_OK) return result;
    result = openrtmp_config_set(config, OPENRTMP_STR("listen"), OPENRTMP_STR("127.0.0.1:0"));
    if (result == OPENRTMP_OK) result = openrtmp_server_new(config, NULL, &server);
    openrtmp_config_free(config);
    if (result != OPENRTMP_OK) return result;
    result = openrtmp_server_start(server);
    if (result == OPENRTMP_OK) result = openrtmp_server_port(server, 0, port);
    openrtmp_server_free(server);
    return result;
}

const char *app_library(void) { return openrtmp_version_string(); }
