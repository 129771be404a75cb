/* A host that delivers over HTTP what ffmpeg publishes: delivery. Its server starts and
   stops many times in one process; no thread is left of any. What would hang is ended from
   outside. */
#include <openrtmp.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void check(int good, const char *what, int line) {
    if (good) return;
    fprintf(stderr, "%d: %s: %s\n", line, what, openrtmp_last_error_message());
    _exit(1);
}
#define CHECK(condition) check((condition), #condition, __LINE__)
#define OK(call) check((call) == OPENRTMP_OK, #call, __LINE__)

/* Threads of the library, as it tells them. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int begun, ended, of_http;

static void on_begin(void *user_data, openrtmp_str name) {
    (void) user_data;
    pthread_mutex_lock(&mutex);
    begun++;
    of_http += name.length == 13 && memcmp(name.data, "openrtmp-http", 13) == 0;
    pthread_mutex_unlock(&mutex);
}

static void on_end(void *user_data, openrtmp_str name) {
    (void) user_data;
    (void) name;
    pthread_mutex_lock(&mutex);
    ended++;
    pthread_mutex_unlock(&mutex);
}

/* All that begun have ended: the last call of a thread comes before it is gone. */
static void nothing_runs(void) {
    pthread_mutex_lock(&mutex);
    CHECK(begun == ended && of_http > 0);
    pthread_mutex_unlock(&mutex);
}

/* The first URL of each form. */
struct url {
    char text[256];
};
static void first_url(void *user_data, openrtmp_str url) {
    struct url *first = user_data;
    if (first->text[0] != 0) return;
    CHECK(url.length < sizeof first->text);
    memcpy(first->text, url.data, url.length);
    first->text[url.length] = 0;
}
static struct url url_of(openrtmp_server *server, const char *stream, uint32_t form) {
    struct url url = {""};
    OK(openrtmp_server_http_urls(server, OPENRTMP_STR(stream), form, first_url, &url));
    CHECK(url.text[0] != 0);
    return url;
}

/* The status of an answer to a request, and the connection, which stays. */
static int ask(uint32_t port, const char *path, int *status) {
    struct sockaddr_in address;
    char text[512], answer[64];
    size_t got = 0;
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t) port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(peer >= 0 && connect(peer, (struct sockaddr *) &address, sizeof address) == 0);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
    CHECK(write(peer, text, strlen(text)) == (ssize_t) strlen(text));
    while (got < 12) {
        const ssize_t n = read(peer, answer + got, sizeof answer - 1 - got);
        CHECK(n > 0);
        got += (size_t) n;
    }
    answer[got] = 0;
    CHECK(sscanf(answer, "HTTP/1.1 %d", status) == 1);
    return peer;
}

/* Until the other side has closed it. */
static void wait_for_end(int peer) {
    char rest[4096];
    while (read(peer, rest, sizeof rest) > 0) {
    }
    close(peer);
}

/* What a program printed; its output has to be there. */
static void run(const char *command, char *out, size_t room) {
    FILE *pipe = popen(command, "r");
    size_t got;
    CHECK(pipe != NULL);
    got = fread(out, 1, room - 1, pipe);
    out[got] = 0;
    CHECK(pclose(pipe) == 0);
}

static openrtmp_http_stats stats_of(openrtmp_server *server) {
    openrtmp_http_stats stats = OPENRTMP_HTTP_STATS_INIT;
    OK(openrtmp_server_http_stats(server, &stats));
    return stats;
}

static openrtmp_server *made(const char *listen) {
    openrtmp_config *config;
    openrtmp_server *server;
    OK(openrtmp_config_new(OPENRTMP_PROFILE_DESKTOP, &config));
    OK(openrtmp_config_set(config, OPENRTMP_STR("listen"), OPENRTMP_STR("127.0.0.1:0")));
    OK(openrtmp_config_set(config, OPENRTMP_STR("http.listen"), OPENRTMP_STR(listen)));
    OK(openrtmp_config_validate(config));
    OK(openrtmp_server_new(config, NULL, &server));
    openrtmp_config_free(config);
    return server;
}

/* ffmpeg publishes, ffprobe plays each form. */
static void streams(openrtmp_server *server) {
    static const uint32_t forms[] = {OPENRTMP_FORM_HLS, OPENRTMP_FORM_DASH, OPENRTMP_FORM_HLS_TS,
                                     OPENRTMP_FORM_FLV};
    const openrtmp_event *event = NULL;
    openrtmp_events *events;
    openrtmp_http_stats stats;
    char command[1024], out[4096];
    uint32_t rtmp, http;
    size_t form;
    int status, viewer;
    FILE *publisher;

    OK(openrtmp_events_open(server, &events));
    OK(openrtmp_server_start(server));
    OK(openrtmp_server_port(server, 0, &rtmp));
    OK(openrtmp_server_http_port(server, 0, &http));
    CHECK(openrtmp_server_http_port(server, 1, &http) == OPENRTMP_ERROR_NOT_FOUND);
    snprintf(command, sizeof command,
             "exec timeout 90 ffmpeg -nostdin -v error -re -f lavfi -i testsrc2=size=64x48:rate=25 "
             "-f lavfi -i sine=sample_rate=48000 -c:v libx264 -preset ultrafast -tune zerolatency "
             "-g 25 -pix_fmt yuv420p -c:a aac -t 80 -f flv rtmp://127.0.0.1:%u/live/cam 2>&1",
             (unsigned) rtmp);
    publisher = popen(command, "r");
    CHECK(publisher != NULL);
    do OK(openrtmp_events_next(events, 60000, &event));
    while (event->kind != OPENRTMP_EVENT_STREAM_TRACKS);
    /* What is playable is told by the answer: some of it waits for that, none for ever. */
    for (form = 0; form < sizeof forms / sizeof *forms; form++) {
        const struct url url = url_of(server, "live/cam", forms[form]);
        do close(ask(http, strchr(url.text + 8, '/'), &status));
        while (status != 200 && usleep(50000) == 0);
        snprintf(command, sizeof command,
                 "timeout 60 ffprobe -v error -select_streams v:0 -read_intervals %%+2 "
                 "-count_packets -show_entries stream=codec_name,nb_read_packets -of csv=p=0 '%s'",
                 url.text);
        run(command, out, sizeof out);
        printf("%s: %s", url.text, out);
        CHECK(strncmp(out, "h264,", 5) == 0 && atoi(out + 5) > 20);
    }
    stats = stats_of(server);
    CHECK(stats.listeners == 1 && stats.streams == 1 && stats.accepted >= 8);
    CHECK(stats.stream_bytes > 10000);
    /* Who plays without end is cut off by a stop without grace. */
    viewer = ask(http, "/live/cam.flv", &status);
    CHECK(status == 200 && stats_of(server).connections >= 1);
    OK(openrtmp_server_stop(server, 0, NULL));
    wait_for_end(viewer);
    pclose(publisher);
    openrtmp_events_close(events);
    CHECK(openrtmp_server_http_port(server, 0, &http) == OPENRTMP_ERROR_STATE);
}

struct stopping {
    openrtmp_server *server;
    uint64_t grace;
};
static void *stop(void *stopping) {
    const struct stopping *it = stopping;
    OK(openrtmp_server_stop(it->server, it->grace, NULL));
    return NULL;
}

int main(void) {
    openrtmp_thread_hooks_table hooks = OPENRTMP_THREAD_HOOKS_INIT;
    openrtmp_server *server;
    struct stopping stopping;
    pthread_t thread;
    uint32_t state, port;
    int round, status, viewer;

    hooks.on_begin = on_begin;
    hooks.on_end = on_end;
    OK(openrtmp_thread_hooks(&hooks));
    server = made("http://127.0.0.1:0");
    for (round = 0; round < 10; round++) {
        OK(openrtmp_server_start(server));
        OK(openrtmp_server_http_port(server, 0, &port));
        viewer = ask(port, "/", &status);
        CHECK(status == 200);
        /* Odd ones drain: an idle viewer is no reason to wait. */
        if (round % 2 == 0) OK(openrtmp_server_stop(server, 60000, NULL));
        else OK(openrtmp_server_drain(server, 60000, OPENRTMP_STR(""), NULL));
        wait_for_end(viewer);
        nothing_runs();
    }
    streams(server);
    nothing_runs();

    /* A stop that waits for a viewer is cut short by another thread. */
    OK(openrtmp_server_start(server));
    OK(openrtmp_server_http_port(server, 0, &port));
    viewer = ask(port, "/time", &status);
    CHECK(status == 200 && write(viewer, "GET /", 5) == 5);
    stopping.server = server;
    stopping.grace = 86400000;
    CHECK(pthread_create(&thread, NULL, stop, &stopping) == 0);
    /* It may be over by then. */
    do OK(openrtmp_server_state(server, &state));
    while (state == OPENRTMP_STATE_RUNNING);
    OK(openrtmp_server_stop(server, 0, NULL));
    pthread_join(thread, NULL);
    wait_for_end(viewer);
    nothing_runs();

    /* Freed while it delivers. */
    OK(openrtmp_server_start(server));
    OK(openrtmp_server_http_port(server, 0, &port));
    viewer = ask(port, "/", &status);
    OK(openrtmp_server_free(server));
    wait_for_end(viewer);
    nothing_runs();
    puts("ok");
    return 0;
}
