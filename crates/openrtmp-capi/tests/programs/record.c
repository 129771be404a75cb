/* A host that records what ffmpeg publishes to an MP4 file, by its settings: record FOLDER.
   Writes the file's name last. What would hang is ended from outside. */
#include <openrtmp.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check(int good, const char *what, int line) {
    if (good) return;
    fprintf(stderr, "%d: %s: %s\n", line, what, openrtmp_last_error_message());
    _exit(1);
}
#define CHECK(condition) check((condition), #condition, __LINE__)
#define OK(call) check((call) == OPENRTMP_OK, #call, __LINE__)

static void set(openrtmp_config *config, const char *path, const char *value) {
    OK(openrtmp_config_set(config, OPENRTMP_STR(path), OPENRTMP_STR(value)));
}

int main(int argc, char **argv) {
    const openrtmp_event *event = NULL;
    openrtmp_config *config;
    openrtmp_events *events;
    openrtmp_server *server;
    char command[512];
    uint32_t port;

    CHECK(argc == 2);
    OK(openrtmp_config_new(OPENRTMP_PROFILE_DESKTOP, &config));
    set(config, "listen", "127.0.0.1:0");
    set(config, "record.directory", argv[1]);
    set(config, "record.format", "mp4");
    CHECK(openrtmp_config_set(config, OPENRTMP_STR("record.format"), OPENRTMP_STR("mov")) ==
          OPENRTMP_ERROR_CONFIG);
    OK(openrtmp_config_validate(config));
    OK(openrtmp_server_new(config, NULL, &server));
    openrtmp_config_free(config);
    OK(openrtmp_events_open(server, &events));
    OK(openrtmp_server_start(server));
    OK(openrtmp_server_port(server, 0, &port));
    snprintf(command, sizeof command,
             "timeout 60 ffmpeg -nostdin -v error -re -f lavfi -i testsrc2=size=64x48:rate=25 "
             "-f lavfi -i sine=sample_rate=48000 -c:v libx264 -preset ultrafast -g 25 "
             "-pix_fmt yuv420p -c:a aac -t 4 -f flv rtmp://127.0.0.1:%u/live/cam",
             (unsigned) port);
    CHECK(system(command) == 0);
    do {
        OK(openrtmp_events_next(events, 60000, &event));
        CHECK(event->kind != OPENRTMP_EVENT_RECORDING_FAILED);
    } while (event->kind != OPENRTMP_EVENT_RECORDING_FINISHED);
    printf("%.*s\n", (int) event->text.length, event->text.data);
    openrtmp_events_close(events);
    OK(openrtmp_server_free(server));
    return 0;
}
