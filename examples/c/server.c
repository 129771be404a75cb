/* An RTMP server in C: server [ADDRESS:PORT]; Enter, or the end of input, stops it. */
#include <openrtmp.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int32_t code, const char *what) {
    if (code == OPENRTMP_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, openrtmp_strerror(code),
            openrtmp_last_error_message());
    exit(1);
}

static void on_event(void *user_data, const openrtmp_event *event) {
    (void) user_data;
    printf("%.*s\n", (int) event->json.length, event->json.data);
    fflush(stdout);
}

/* Everybody may play; publishing is for the app "live". */
static void on_access(void *user_data, const openrtmp_access_request *request) {
    openrtmp_server *server = *(openrtmp_server **) user_data;
    const int live = request->app.length == 4 && memcmp(request->app.data, "live", 4) == 0;
    if (request->action == OPENRTMP_ACCESS_PUBLISH && !live) {
        openrtmp_request_reject(server, request->request_id, OPENRTMP_STR("use the app live"));
    } else {
        openrtmp_request_accept(server, request->request_id);
    }
}

static void print_url(void *user_data, openrtmp_str url) {
    (void) user_data;
    printf("publish to %.*s\n", (int) url.length, url.data);
}

int main(int argc, char **argv) {
    static openrtmp_server *server;
    openrtmp_config *config = NULL;
    openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
    openrtmp_summary summary = OPENRTMP_SUMMARY_INIT;

    if (openrtmp_abi_version() != OPENRTMP_ABI_VERSION) {
        fprintf(stderr, "another libopenrtmp is loaded\n");
        return 1;
    }
    check(openrtmp_config_new(OPENRTMP_PROFILE_DESKTOP, &config), "settings");
    if (argc > 1) {
        check(openrtmp_config_set(config, OPENRTMP_STR("listen"), OPENRTMP_STR(argv[1])),
              "address");
    }
    callbacks.user_data = &server;
    callbacks.on_event = on_event;
    callbacks.on_access = on_access;
    check(openrtmp_server_new(config, &callbacks, &server), "server");
    openrtmp_config_free(config);
    check(openrtmp_server_start(server), "start");
    check(openrtmp_server_urls(server, OPENRTMP_STR("live/cam"), print_url, NULL), "urls");
    fflush(stdout);

    getchar();
    check(openrtmp_server_stop(server, 2000, &summary), "stop");
    printf("accepted %llu connections\n", (unsigned long long) summary.accepted);
    check(openrtmp_server_free(server), "free");
    return 0;
}
