/* A host under ThreadSanitizer, over a library that is not instrumented: callbacks,
   events and frames that are fetched, a publisher, each on a thread of its own. With an
   argument it has a race of its own, which is to be found all the same. */
#include <openrtmp.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FRAMES 200

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int told, fetched, written, frames, closed, unguarded;
static int races;

static void check(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "%s: %s\n", what, openrtmp_last_error_message());
    exit(1);
}
#define OK(call) check((call) == OPENRTMP_OK, #call)

static void count(int *counter) {
    pthread_mutex_lock(&mutex);
    ++*counter;
    pthread_mutex_unlock(&mutex);
}

/* On threads of the host's alone: what callbacks do is passed over. */
static void race(void) {
    if (races) ++unguarded;
}

static void on_event(void *user_data, const openrtmp_event *event) {
    (void) event;
    count(user_data);
}
static void on_closed(void *user_data) {
    (void) user_data;
    count(&closed);
}

static void *fetch_events(void *handle) {
    const openrtmp_event *event;
    while (openrtmp_events_next(handle, 60000, &event) == OPENRTMP_OK) count(&fetched);
    return NULL;
}

static void *fetch_frames(void *handle) {
    openrtmp_tap_item item = OPENRTMP_TAP_ITEM_INIT;
    int left = FRAMES;
    while (left > 0) {
        OK(openrtmp_tap_next(handle, 60000, &item));
        if (item.kind != OPENRTMP_TAP_FRAME) continue;
        if (item.frame->kind != OPENRTMP_MEDIA_AUDIO) continue;
        check(item.frame->payload_length == 4, "what was written");
        count(&frames);
        race();
        left--;
    }
    return NULL;
}

static void *publish(void *handle) {
    /* MP3 (FLV 10.1, E.4.2): a byte that says so, and what is to be seen of it. */
    uint8_t body[5] = {0x2F, 0, 0, 0, 0};
    uint32_t n;
    for (n = 0; n < FRAMES; n++) {
        body[4] = (uint8_t) n;
        OK(openrtmp_publisher_write_message(handle, OPENRTMP_MEDIA_AUDIO, n * 20, body,
                                            sizeof body));
        count(&written);
        race();
    }
    return NULL;
}

int main(int argc, char **argv) {
    openrtmp_callbacks callbacks = OPENRTMP_CALLBACKS_INIT;
    openrtmp_config *config;
    openrtmp_server *server;
    openrtmp_events *events;
    openrtmp_tap *tap;
    openrtmp_publisher *publisher;
    pthread_t threads[3];

    (void) argv;
    races = argc > 1;
    callbacks.user_data = &told;
    callbacks.on_event = on_event;
    callbacks.on_closed = on_closed;
    OK(openrtmp_config_new(OPENRTMP_PROFILE_MOBILE, &config));
    OK(openrtmp_config_set(config, OPENRTMP_STR("listen"), OPENRTMP_STR("127.0.0.1:0")));
    OK(openrtmp_server_new(config, &callbacks, &server));
    openrtmp_config_free(config);
    OK(openrtmp_events_open(server, &events));
    OK(openrtmp_server_start(server));
    OK(openrtmp_tap_open(server, OPENRTMP_STR(""), NULL, &tap));
    OK(openrtmp_publisher_open(server, OPENRTMP_STR("live/cam"), &publisher));
    check(pthread_create(&threads[0], NULL, fetch_events, events) == 0, "a thread");
    check(pthread_create(&threads[1], NULL, fetch_frames, tap) == 0, "a thread");
    check(pthread_create(&threads[2], NULL, publish, publisher) == 0, "a thread");
    pthread_join(threads[2], NULL);
    pthread_join(threads[1], NULL);
    openrtmp_publisher_free(publisher);
    OK(openrtmp_tap_free(tap));
    OK(openrtmp_server_free(server));
    pthread_join(threads[0], NULL);
    openrtmp_events_close(events);
    pthread_mutex_lock(&mutex);
    check(told > 0 && fetched > 0 && written == FRAMES && frames == FRAMES && closed == 1, "all came");
    pthread_mutex_unlock(&mutex);
    puts("ok");
    return 0;
}
