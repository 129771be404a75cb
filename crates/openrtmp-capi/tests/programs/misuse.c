/* Wrong calls have a code and a message; right ones leak nothing. */
#include <openrtmp.h>

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition,       \
                    openrtmp_last_error_message());                                   \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)
#define OK(call) CHECK((call) == OPENRTMP_OK)
#define S OPENRTMP_STR

/* What callbacks tell the test. */
struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    openrtmp_server *server;
    openrtmp_tap *tap;
    int blocked, frames, configs, started, ended, closed, stop_code, tap_code;
    int events_closed;
    const openrtmp_frame *kept;
    uint64_t request;
};

static void seen_init(struct seen *seen) {
    memset(seen, 0, sizeof *seen);
    pthread_mutex_init(&seen->lock, NULL);
    pthread_cond_init(&seen->changed, NULL);
}

/* Waits until *value is at least `least`; a watchdog outside ends a test that hangs. */
static void await(struct seen *seen, const int *value, int least) {
    pthread_mutex_lock(&seen->lock);
    while (*value < least) pthread_cond_wait(&seen->changed, &seen->lock);
    pthread_mutex_unlock(&seen->lock);
}

static void set(struct seen *seen, int *value, int to) {
    pthread_mutex_lock(&seen->lock);
    *value = to;
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void on_closed(void *user_data) {
    struct seen *seen = user_data;
    set(seen, &seen->closed, seen->closed + 1);
}

static openrtmp_config *settings(void) {
    openrtmp_config *config = NULL;
    OK(openrtmp_config_new(OPENRTMP_PROFILE_MOBILE, &config));
    OK(openrtmp_config_set(config, S("listen"), S("127.0.0.1:0")));
    return config;
}

static openrtmp_server *server_with(const openrtmp_callbacks *callbacks) {
    openrtmp_server *server = NULL;
    openrtmp_config *config = settings();
    OK(openrtmp_server_new(config, callbacks, &server));
    openrtmp_config_free(config);
    return server;
}

static void visit_nothing(void *user_data, openrtmp_str text) {
    (void) text;
    ++*(int *) user_data;
}

static void values_that_mean_nothing_are_refused(void) {
    const int32_t invalid = OPENRTMP_ERROR_INVALID_ARGUMENT;
    openrtmp_config *config = settings();
    openrtmp_server *server = server_with(NULL);
    openrtmp_tap_callbacks tap = OPENRTMP_TAP_CALLBACKS_INIT;
    openrtmp_tap *out_tap = NULL;
    openrtmp_publisher *publisher = NULL;
    openrtmp_media media = OPENRTMP_MEDIA_INIT;
    openrtmp_track track = OPENRTMP_TRACK_INIT;

    CHECK(openrtmp_config_new(99, &config) == invalid);
    CHECK(openrtmp_config_load_text(config, S("{}"), 77) == invalid);
    OK(openrtmp_server_start(server));
    CHECK(openrtmp_tap_open(server, S(""), &tap, &out_tap) == invalid);
    OK(openrtmp_publisher_open(server, S("live/x"), &publisher));
    track.kind = OPENRTMP_MEDIA_AUDIO;
    CHECK(openrtmp_publisher_configure(publisher, &track) == invalid);
    track.codec = OPENRTMP_FOURCC_AAC;
    track.config_length = 2;
    CHECK(openrtmp_publisher_configure(publisher, &track) == invalid);
    track.config_length = 0;
    track.track = 256;
    CHECK(openrtmp_publisher_configure(publisher, &track) == invalid);
    track.track = 0;
    OK(openrtmp_publisher_configure(publisher, &track));
    CHECK(openrtmp_publisher_write(publisher, &media) == invalid);
    media.kind = OPENRTMP_MEDIA_AUDIO;
    media.payload_length = 9;
    CHECK(openrtmp_publisher_write(publisher, &media) == invalid);
    media.payload_length = 0;
    media.dts_us = -1;
    CHECK(openrtmp_publisher_write(publisher, &media) == invalid);
    CHECK(openrtmp_publisher_write_message(publisher, 7, 0, NULL, 0) == invalid);
    CHECK(strlen(openrtmp_last_error_message()) > 0);
    openrtmp_publisher_free(publisher);
    OK(openrtmp_server_free(server));
    openrtmp_config_free(config);
}

static void texts_and_settings_are_checked(void) {
    openrtmp_config *config = settings();
    openrtmp_str bad = {"\xff\xfe", 2};
    char buffer[32] = "before";
    size_t length = 0;
    CHECK(openrtmp_config_set(config, bad, S("x")) == OPENRTMP_ERROR_INVALID_UTF8);
    CHECK(openrtmp_config_set(config, S("rtmp.chunk_sise"), S("1")) == OPENRTMP_ERROR_CONFIG);
    CHECK(strstr(openrtmp_last_error_message(), "did you mean rtmp.chunk_size") != NULL);
    CHECK(openrtmp_config_set(config, S("rtmp.chunk_size"), S("64")) == OPENRTMP_ERROR_CONFIG);
    CHECK(strstr(openrtmp_last_error_message(), "rtmp.chunk_size = 64: expected ") != NULL);
    OK(openrtmp_config_validate(config));
    OK(openrtmp_config_load_text(config, S("{\"rtmp\": {\"chunk_size\": 4096}}"),
                                 OPENRTMP_FORMAT_JSON));
    OK(openrtmp_config_load_text(config, S("rtmp:\n  idle_timeout: 1500\n"),
                                 OPENRTMP_FORMAT_YAML));
    CHECK(openrtmp_config_get(config, S("rtmp.chunk_size"), buffer, 4, &length) ==
          OPENRTMP_ERROR_BUFFER_TOO_SMALL);
    CHECK(length == 4 && strcmp(buffer, "before") == 0);
    OK(openrtmp_config_get(config, S("rtmp.chunk_size"), buffer, 5, &length));
    CHECK(strcmp(buffer, "4096") == 0);
    OK(openrtmp_config_get(config, S("rtmp.idle_timeout"), buffer, sizeof buffer, &length));
    CHECK(strcmp(buffer, "1500") == 0);
    OK(openrtmp_config_dump(config, OPENRTMP_FORMAT_YAML, NULL, 0, &length));
    CHECK(length > 100);
    CHECK(openrtmp_config_load_file(config, S("/nowhere/at/all.yaml")) == OPENRTMP_ERROR_IO);
    openrtmp_config_free(config);
}

static void structs_have_versions(void) {
    struct {
        openrtmp_callbacks known;
        uint64_t newer;
    } future;
    openrtmp_server *server = NULL;
    openrtmp_config *config = settings();
    openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
    openrtmp_metrics metrics = OPENRTMP_METRICS_INIT;
    openrtmp_health health = OPENRTMP_HEALTH_INIT;

    memset(&future, 0, sizeof future);
    callbacks.struct_size = 3;
    CHECK(openrtmp_server_new(config, &callbacks, &server) == OPENRTMP_ERROR_STRUCT_SIZE);
    future.known.struct_size = sizeof future;
    future.newer = 1;
    CHECK(openrtmp_server_new(config, &future.known, &server) == OPENRTMP_ERROR_STRUCT_SIZE);
    future.newer = 0;
    OK(openrtmp_server_new(config, &future.known, &server));
    OK(openrtmp_server_start(server));
    metrics.struct_size = 0;
    CHECK(openrtmp_server_metrics(server, &metrics) == OPENRTMP_ERROR_STRUCT_SIZE);
    metrics.struct_size = sizeof metrics;
    OK(openrtmp_server_metrics(server, &metrics));
    CHECK(metrics.struct_size == sizeof metrics && metrics.connections == 0);
    OK(openrtmp_server_health(server, &health, NULL, NULL));
    CHECK(health.live == 1 && health.ready == 1);
    OK(openrtmp_server_free(server));
    openrtmp_config_free(config);
}

static void states_and_stale_ids(void) {
    openrtmp_server *server = server_with(NULL);
    openrtmp_publisher *publisher = NULL;
    uint32_t number = 77;
    char key[64];
    int keys = 0;
    CHECK(openrtmp_server_stop(server, 0, NULL) == OPENRTMP_ERROR_STATE);
    CHECK(openrtmp_server_port(server, 0, &number) == OPENRTMP_ERROR_STATE);
    CHECK(openrtmp_publisher_open(server, S("live/x"), &publisher) == OPENRTMP_ERROR_STATE);
    OK(openrtmp_server_start(server));
    CHECK(openrtmp_server_start(server) == OPENRTMP_ERROR_STATE);
    CHECK(openrtmp_server_port(server, 9, &number) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(number == 77);
    CHECK(openrtmp_server_disconnect(server, 0xDEADBEEF, S("")) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_server_end_stream(server, S("a/b"), S("")) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_request_accept(server, 1) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_request_accept_as(server, 1, S("a/b")) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_request_accept_as(server, 1, S("?k")) == OPENRTMP_ERROR_INVALID_ARGUMENT);
    CHECK(openrtmp_request_pass(server, 1) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_request_fail(server, 1, S("")) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_request_mark_secret(server, 1) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_server_end_stream_id(server, 1, S("x")) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_server_stream_name(server, 1, NULL, 0, NULL) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_record_stop(server, S("a/b"), NULL) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_key_revoke(server, OPENRTMP_KEY_PLAY, S("k")) == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(openrtmp_key_add(server, 9, S("k")) == OPENRTMP_ERROR_INVALID_ARGUMENT);
    CHECK(openrtmp_key_add(server, OPENRTMP_KEY_PLAY, S("a b")) ==
          OPENRTMP_ERROR_INVALID_ARGUMENT);
    OK(openrtmp_key_generate(key, sizeof key, NULL));
    OK(openrtmp_key_add(server, OPENRTMP_KEY_PUBLISH, S(key)));
    OK(openrtmp_key_list(server, OPENRTMP_KEY_PUBLISH, visit_nothing, &keys));
    CHECK(keys == 1);
    OK(openrtmp_key_revoke(server, OPENRTMP_KEY_PUBLISH, S(key)));
    OK(openrtmp_publisher_open(server, S("live/x"), &publisher));
    CHECK(openrtmp_publisher_open(server, S("live/x"), &publisher) == OPENRTMP_ERROR_BUSY);
    openrtmp_publisher_free(publisher);
    OK(openrtmp_server_stop(server, 0, NULL));
    OK(openrtmp_server_start(server));
    OK(openrtmp_server_free(server));
}

static void stop_inside(void *user_data, const openrtmp_event *event) {
    struct seen *seen = user_data;
    if (event->kind != OPENRTMP_EVENT_STREAM_PUBLISHED) return;
    set(seen, &seen->stop_code, openrtmp_server_stop(seen->server, 0, NULL));
    set(seen, &seen->started, 1);
}

static void tap_free_inside(void *user_data, const openrtmp_frame *frame) {
    struct seen *seen = user_data;
    (void) frame;
    await(seen, &seen->started, 1);
    seen->tap_code = openrtmp_tap_free(seen->tap);
    set(seen, &seen->frames, seen->frames + 1);
}

static void write_video(openrtmp_publisher *publisher, int64_t dts_us, uint32_t flags) {
    static const uint8_t nal[] = {0, 0, 0, 2, 0x65, 0x88};
    openrtmp_media media = OPENRTMP_MEDIA_INIT;
    media.kind = OPENRTMP_MEDIA_VIDEO;
    media.flags = flags;
    media.dts_us = dts_us;
    media.pts_us = dts_us + 40000;
    media.payload = nal;
    media.payload_length = sizeof nal;
    OK(openrtmp_publisher_write(publisher, &media));
}

static openrtmp_publisher *publish(openrtmp_server *server, const char *name) {
    static const uint8_t avcc[] = {1, 0x42, 0, 0x1E, 0xFF, 0xE0, 0};
    openrtmp_publisher *publisher = NULL;
    openrtmp_track track = OPENRTMP_TRACK_INIT;
    openrtmp_media early = OPENRTMP_MEDIA_INIT;
    OK(openrtmp_publisher_open(server, S(name), &publisher));
    early.kind = OPENRTMP_MEDIA_VIDEO;
    CHECK(openrtmp_publisher_write(publisher, &early) == OPENRTMP_ERROR_STATE);
    track.kind = OPENRTMP_MEDIA_VIDEO;
    track.codec = OPENRTMP_FOURCC_AVC;
    track.config = avcc;
    track.config_length = sizeof avcc;
    OK(openrtmp_publisher_configure(publisher, &track));
    return publisher;
}

static void callbacks_cannot_wait_for_themselves(void) {
    struct seen seen;
    openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
    openrtmp_tap_callbacks tap = OPENRTMP_TAP_CALLBACKS_INIT;
    openrtmp_publisher *publisher;
    seen_init(&seen);
    callbacks.user_data = &seen;
    callbacks.on_event = stop_inside;
    callbacks.on_closed = on_closed;
    seen.server = server_with(&callbacks);
    OK(openrtmp_server_start(seen.server));
    tap.user_data = &seen;
    tap.on_frame = tap_free_inside;
    OK(openrtmp_tap_open(seen.server, S("live/cam"), &tap, &seen.tap));
    publisher = publish(seen.server, "live/cam");
    write_video(publisher, 0, OPENRTMP_FRAME_KEY);
    await(&seen, &seen.frames, 1);
    CHECK(seen.stop_code == OPENRTMP_ERROR_RECURSIVE);
    CHECK(seen.tap_code == OPENRTMP_ERROR_RECURSIVE);
    openrtmp_publisher_free(publisher);
    OK(openrtmp_tap_free(seen.tap));
    CHECK(seen.closed == 0);
    OK(openrtmp_server_free(seen.server));
    CHECK(seen.closed == 1);
}

static void block(void *user_data, const openrtmp_event *event) {
    struct seen *seen = user_data;
    (void) event;
    await(seen, &seen->blocked, 1);
}

static void count(void *user_data, const openrtmp_frame *frame) {
    struct seen *seen = user_data;
    if (frame->flags & OPENRTMP_FRAME_CONFIG) {
        CHECK(seen->frames == 0);
        set(seen, &seen->configs, seen->configs + 1);
        return;
    }
    if (frame->kind != OPENRTMP_MEDIA_VIDEO) return;
    CHECK(frame->codec == OPENRTMP_FOURCC_AVC && frame->payload_length == 6);
    CHECK(frame->pts_us - frame->dts_us == 40000);
    if (seen->kept == NULL) seen->kept = openrtmp_frame_retain(frame);
    set(seen, &seen->frames, seen->frames + 1);
}

static void ended(void *user_data, uint64_t id, openrtmp_str name) {
    struct seen *seen = user_data;
    CHECK(id != 0 && name.length == 8 && memcmp(name.data, "live/cam", 8) == 0);
    set(seen, &seen->ended, 1);
}

/* The event callback blocks until every frame has come through: no time limit could
   say it more strictly. The server is freed with all of it going on. */
static void blocked_callbacks_hold_up_no_media(void) {
    enum { FRAMES = 50 };
    int i;
    struct seen seen, tapped;
    openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
    openrtmp_tap_callbacks tap = OPENRTMP_TAP_CALLBACKS_INIT;
    openrtmp_publisher *publisher;
    openrtmp_media late = OPENRTMP_MEDIA_INIT;
    uint8_t byte = 0;
    seen_init(&seen);
    seen_init(&tapped);
    callbacks.user_data = &seen;
    callbacks.on_event = block;
    callbacks.on_closed = on_closed;
    seen.server = server_with(&callbacks);
    OK(openrtmp_server_start(seen.server));
    tap.user_data = &tapped;
    tap.on_frame = count;
    tap.on_ended = ended;
    tap.on_closed = on_closed;
    OK(openrtmp_tap_open(seen.server, S(""), &tap, &tapped.tap));
    publisher = publish(seen.server, "live/cam");
    for (i = 0; i < FRAMES; ++i) {
        write_video(publisher, i * 40000, i % 10 == 0 ? OPENRTMP_FRAME_KEY : 0);
    }
    await(&tapped, &tapped.frames, FRAMES);
    CHECK(tapped.configs == 1);
    OK(openrtmp_server_free(seen.server));
    CHECK(seen.closed == 0);
    set(&seen, &seen.blocked, 1);
    await(&seen, &seen.closed, 1);
    await(&tapped, &tapped.closed, 1);
    late.kind = OPENRTMP_MEDIA_VIDEO;
    late.payload = &byte;
    late.payload_length = 1;
    CHECK(openrtmp_publisher_write(publisher, &late) == OPENRTMP_ERROR_STATE);
    openrtmp_publisher_free(publisher);
    OK(openrtmp_tap_free(tapped.tap));
    CHECK(tapped.kept->payload[4] == 0x65 && tapped.kept->stream.length == 8);
    openrtmp_frame_release(tapped.kept);
}

static void two_servers_share_a_process(void) {
    struct seen tapped;
    openrtmp_tap_callbacks tap = OPENRTMP_TAP_CALLBACKS_INIT;
    openrtmp_server *one = server_with(NULL), *two = server_with(NULL);
    openrtmp_publisher *a, *b;
    uint32_t first = 0, second = 0;
    seen_init(&tapped);
    OK(openrtmp_server_start(one));
    OK(openrtmp_server_start(two));
    OK(openrtmp_server_port(one, 0, &first));
    OK(openrtmp_server_port(two, 0, &second));
    CHECK(first != second);
    tap.user_data = &tapped;
    tap.on_frame = count;
    tap.on_ended = ended;
    OK(openrtmp_tap_open(two, S("live/cam"), &tap, &tapped.tap));
    a = publish(one, "live/cam");
    b = publish(two, "live/cam");
    write_video(b, 0, OPENRTMP_FRAME_KEY);
    await(&tapped, &tapped.frames, 1);
    openrtmp_publisher_free(a);
    OK(openrtmp_server_free(one));
    openrtmp_publisher_free(b);
    await(&tapped, &tapped.ended, 1);
    OK(openrtmp_tap_free(tapped.tap));
    openrtmp_frame_release(tapped.kept);
    OK(openrtmp_server_free(two));
}

static void on_record(void *user_data, const openrtmp_log_record *record) {
    struct seen *seen = user_data;
    CHECK(record->level >= OPENRTMP_LOG_ERROR && record->level <= OPENRTMP_LOG_TRACE);
    CHECK(openrtmp_log_set(NULL) == OPENRTMP_ERROR_RECURSIVE);
    set(seen, &seen->frames, seen->frames + 1);
}

static void logs_reach_the_host(void) {
    struct seen seen;
    openrtmp_log_callbacks callbacks = OPENRTMP_LOG_CALLBACKS_INIT;
    openrtmp_server *server;
    openrtmp_publisher *publisher;
    seen_init(&seen);
    callbacks.user_data = &seen;
    CHECK(openrtmp_log_set(&callbacks) == OPENRTMP_ERROR_INVALID_ARGUMENT);
    callbacks.on_record = on_record;
    callbacks.on_closed = on_closed;
    callbacks.max_level = OPENRTMP_LOG_TRACE;
    OK(openrtmp_log_set(&callbacks));
    server = server_with(NULL);
    OK(openrtmp_server_start(server));
    publisher = publish(server, "live/cam");
    await(&seen, &seen.frames, 1);
    openrtmp_publisher_free(publisher);
    OK(openrtmp_server_free(server));
    OK(openrtmp_log_set(NULL));
    CHECK(seen.closed == 1);
}

static int entries(const char *path) {
    int count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) return 0;
    while (readdir(directory) != NULL) ++count;
    closedir(directory);
    return count;
}

static long resident_kilobytes(void) {
    char line[128];
    long kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return 0;
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &kilobytes) == 1) break;
    }
    fclose(status);
    return kilobytes;
}

static void ignore_event(void *user_data, const openrtmp_event *event) {
    (void) user_data;
    (void) event;
}

static void cycles_leak_nothing(int cycles) {
    int i, fds = 0, threads = 0;
    long before = 0;
    struct seen seen;
    seen_init(&seen);
    for (i = 0; i < cycles; ++i) {
        openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
        openrtmp_server *server;
        callbacks.user_data = &seen;
        callbacks.on_event = ignore_event;
        callbacks.on_closed = on_closed;
        server = server_with(&callbacks);
        OK(openrtmp_server_start(server));
        OK(openrtmp_server_stop(server, 0, NULL));
        OK(openrtmp_server_free(server));
        if (i == cycles / 10) {
            fds = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
            before = resident_kilobytes();
        }
    }
    CHECK(seen.closed == cycles);
    CHECK(entries("/proc/self/fd") == fds);
    /* A thread that has ended may be counted for a moment. */
    CHECK(entries("/proc/self/task") <= threads + 2);
    printf("%d cycles: %d descriptors, %ld KiB more\n", cycles, fds,
           resident_kilobytes() - before);
    /* Sanitizers keep freed memory for a while; without them it is exact. */
    if (getenv("OPENRTMP_EXACT_RSS") != NULL) CHECK(resident_kilobytes() - before < 2048);
}

int main(int argc, char **argv) {
    CHECK(openrtmp_abi_version() == OPENRTMP_ABI_VERSION);
    CHECK(openrtmp_version() == OPENRTMP_VERSION);
    values_that_mean_nothing_are_refused();
    texts_and_settings_are_checked();
    structs_have_versions();
    states_and_stale_ids();
    callbacks_cannot_wait_for_themselves();
    blocked_callbacks_hold_up_no_media();
    two_servers_share_a_process();
    logs_reach_the_host();
    cycles_leak_nothing(argc > 1 ? atoi(argv[1]) : 1000);
    puts("ok");
    return 0;
}
