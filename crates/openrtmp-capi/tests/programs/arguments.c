/* Every function, called with NULL for each of its pointers, with text that is no text,
   and with ids that nothing has. tests/interop_arguments.rs makes the calls out of the
   header: one CASE each. */
#include <openrtmp.h>

#include <stdio.h>
#include <stdlib.h>

#define S OPENRTMP_STR

static void check(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "%s: %s\n", what, openrtmp_last_error_message());
    exit(1);
}

/* The message has to speak of it too: another argument could be wrong by mistake. */
#define CASE(call, expected, word)                                                    \
    do {                                                                              \
        const int32_t code = (call);                                                  \
        check(code == (expected), #call);                                             \
        check(strstr(openrtmp_last_error_message(), word) != NULL, #call);            \
    } while (0)
#define FINE(call) check(call, #call)

static void on_frame(void *user_data, const openrtmp_frame *frame) {
    (void) user_data;
    (void) frame;
}
static void on_record(void *user_data, const openrtmp_log_record *record) {
    (void) user_data;
    (void) record;
}
static void visit_text(void *user_data, openrtmp_str text) {
    (void) user_data;
    (void) text;
}
static void visit_stream_info(void *user_data, const openrtmp_stream_info *info) {
    (void) user_data;
    (void) info;
}
static void visit_connection_info(void *user_data, const openrtmp_connection_info *info) {
    (void) user_data;
    (void) info;
}
static void visit_tap_info(void *user_data, const openrtmp_tap_info *info) {
    (void) user_data;
    (void) info;
}
static void visit_publisher_info(void *user_data, const openrtmp_publisher_info *info) {
    (void) user_data;
    (void) info;
}
static void visit_relay_info(void *user_data, const openrtmp_relay_info *info) {
    (void) user_data;
    (void) info;
}
static void visit_reachable_info(void *user_data, const openrtmp_reachable_info *info) {
    (void) user_data;
    (void) info;
}
static void visit_subscriber_info(void *user_data, const openrtmp_subscriber_info *info) {
    (void) user_data;
    (void) info;
}

int main(void) {
    const openrtmp_str null_text = {NULL, 5}, bad_text = {"\xC3\x28", 2};
    openrtmp_config *config = NULL, *out_config;
    openrtmp_server *server = NULL, *out_server;
    openrtmp_tap *tap = NULL, *out_tap;
    openrtmp_publisher *publisher = NULL, *out_publisher;
    openrtmp_events *events = NULL, *out_events;
    const openrtmp_event *out_event = NULL;
    openrtmp_tap_item item = OPENRTMP_TAP_ITEM_INIT;
    openrtmp_relay relay = OPENRTMP_RELAY_INIT;
    openrtmp_thread_hooks_table hooks = OPENRTMP_THREAD_HOOKS_INIT;
    uint8_t *out_buffer = NULL;
    uint64_t id = 77;
    ptrdiff_t descriptor = 77;
    openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
    openrtmp_tap_callbacks tap_callbacks = OPENRTMP_TAP_CALLBACKS_INIT;
    openrtmp_log_callbacks log_callbacks = OPENRTMP_LOG_CALLBACKS_INIT;
    openrtmp_track track = OPENRTMP_TRACK_INIT;
    openrtmp_media media = OPENRTMP_MEDIA_INIT;
    openrtmp_metrics metrics = OPENRTMP_METRICS_INIT;
    openrtmp_health health = OPENRTMP_HEALTH_INIT;
    openrtmp_summary summary = OPENRTMP_SUMMARY_INIT;
    openrtmp_network network = OPENRTMP_NETWORK_INIT;
    openrtmp_suspend_report suspended = OPENRTMP_SUSPEND_REPORT_INIT;
    openrtmp_resume_report resumed = OPENRTMP_RESUME_REPORT_INIT;
    openrtmp_power_stats power = OPENRTMP_POWER_STATS_INIT;
    openrtmp_http_stats http_stats = OPENRTMP_HTTP_STATS_INIT;
    openrtmp_media_format format = OPENRTMP_MEDIA_FORMAT_INIT;
    openrtmp_recording recording = OPENRTMP_RECORDING_INIT;
    uint32_t state = OPENRTMP_STATE_STOPPED, number = 77;
    const uint8_t body[4] = {0xAF, 1, 0, 0};
    char buffer[64] = "before";
    size_t length = 77;

    tap_callbacks.on_frame = on_frame;
    log_callbacks.on_record = on_record;
    track.kind = media.kind = OPENRTMP_MEDIA_AUDIO;
    track.codec = OPENRTMP_FOURCC_MP3;
    media.payload = body;
    relay.pattern = S("vod/*");
    relay.url = S("rtmp://127.0.0.1:9/vod/{name}");
    media.payload_length = sizeof body;
    FINE(openrtmp_config_new(OPENRTMP_PROFILE_MOBILE, &config) == OPENRTMP_OK);
    FINE(openrtmp_config_set(config, S("listen"), S("127.0.0.1:0")) == OPENRTMP_OK);
    FINE(openrtmp_server_new(config, NULL, &server) == OPENRTMP_OK);
    FINE(openrtmp_events_open(server, &events) == OPENRTMP_OK);
    FINE(openrtmp_server_start(server) == OPENRTMP_OK);
    FINE(openrtmp_tap_open(server, S(""), &tap_callbacks, &tap) == OPENRTMP_OK);
    FINE(openrtmp_publisher_open(server, S("live/cam"), &publisher) == OPENRTMP_OK);
    FINE(openrtmp_publisher_configure(publisher, &track) == OPENRTMP_OK);
    out_config = config;
    out_server = server;
    out_tap = tap;
    out_publisher = publisher;
    out_events = events;

#include "cases.inc"

    /* Outputs are as they were, and everything works still. */
    FINE(out_config == config && out_server == server && out_tap == tap);
    FINE(out_publisher == publisher && number == 77 && length == 77);
    FINE(strcmp(buffer, "before") == 0 && metrics.uptime_ms == 0 && health.live == 0);
    FINE(recording.files == 0 && summary.uptime_ms == 0 && id == 77 && descriptor == 77 && out_events == events);
    FINE(out_event == NULL && out_buffer == NULL && item.kind == 0);
    FINE(openrtmp_server_state(server, &state) == OPENRTMP_OK);
    FINE(state == OPENRTMP_STATE_RUNNING);
    FINE(openrtmp_publisher_write(publisher, &media) == OPENRTMP_OK);
    FINE(suspended.closed == 0 && resumed.alive == 0 && power.wake_ups == 0 && format.channels == 0);
    (void) callbacks;
    (void) network;
    (void) log_callbacks;
    (void) hooks;
    openrtmp_events_close(events);
    openrtmp_publisher_free(publisher);
    FINE(openrtmp_tap_free(tap) == OPENRTMP_OK);
    FINE(openrtmp_server_free(server) == OPENRTMP_OK);
    openrtmp_config_free(config);
    return 0;
}
