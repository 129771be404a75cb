// A host in C++ with ffmpeg as its peer: live CASE. Everything waits for events; what
// would hang is ended from outside.
#include <openrtmp.hpp>

#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            std::cerr << __LINE__ << ": " << #condition << ": "                      \
                      << openrtmp_last_error_message() << std::endl;                 \
            std::_Exit(1);                                                           \
        }                                                                            \
    } while (0)

using openrtmp::view;

// What other threads change and this one waits for.
template <typename T>
class Watched {
public:
    template <typename Change>
    void change(Change change) {
        const std::lock_guard<std::mutex> lock(mutex_);
        change(value_);
        changed_.notify_all();
    }
    template <typename Fits>
    T wait(Fits fits) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return fits(value_); });
        return value_;
    }
    T now() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return value_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    T value_{};
};

struct Event {
    std::uint32_t kind;
    std::uint64_t connection;
    std::uint64_t number;
    std::uint32_t reason, flag;
    std::string stream, text, json;
};
using Events = Watched<std::vector<Event>>;

static std::function<void(const openrtmp_event &)> into(Events &events) {
    return [&events](const openrtmp_event &e) {
        const Event event{e.kind,   e.connection_id,
                          e.number, e.reason,
                          e.flag,   std::string(view(e.stream)),
                          std::string(view(e.text)), std::string(view(e.json))};
        events.change([&](std::vector<Event> &all) { all.push_back(event); });
    };
}

// The first event of a kind that fits.
template <typename Fits>
static Event first(Events &events, std::uint32_t kind, Fits fits) {
    std::optional<Event> found;
    events.wait([&](const std::vector<Event> &all) {
        for (const Event &event : all) {
            if (event.kind == kind && fits(event)) {
                found = event;
                return true;
            }
        }
        return false;
    });
    return *found;
}

static Event first(Events &events, std::uint32_t kind) {
    return first(events, kind, [](const Event &) { return true; });
}

static std::size_t count(Events &events, std::uint32_t kind) {
    std::size_t found = 0;
    for (const Event &event : events.now()) found += event.kind == kind;
    return found;
}

static openrtmp::Config local() {
    openrtmp::Config config(OPENRTMP_PROFILE_MOBILE);
    config.set("listen", "127.0.0.1:0").or_throw();
    return config;
}

static std::string url(const openrtmp::Server &server, const std::string &path) {
    return "rtmp://127.0.0.1:" + std::to_string(server.port()) + "/" + path;
}

// A program that runs beside this one; its lines are counted.
class Peer {
public:
    explicit Peer(const std::string &command)
        : pipe_(popen(("exec timeout 90 " + command + " 2>&1").c_str(), "r")) {
        CHECK(pipe_ != nullptr);
        reader_ = std::thread([this] {
            char line[1024];
            while (std::fgets(line, sizeof line, pipe_) != nullptr) {
                if (line[0] == '#') continue;
                lines.change([](int &n) { ++n; });
            }
            ended.change([](bool &over) { over = true; });
        });
    }
    ~Peer() {
        if (pipe_ != nullptr) exit_code();
    }
    // Waits for its end.
    int exit_code() {
        reader_.join();
        const int status = pclose(pipe_);
        pipe_ = nullptr;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    Watched<int> lines;
    Watched<bool> ended;

private:
    std::FILE *pipe_;
    std::thread reader_;
};

static const std::string FFMPEG = "ffmpeg -hide_banner -loglevel error -nostdin -y ";

// Publishes pictures at 25 a second for so many seconds.
static std::string publish(const std::string &to, int seconds) {
    return FFMPEG + "-re -f lavfi -i testsrc2=size=64x48:rate=25:duration=" +
           std::to_string(seconds) +
           " -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p -f flv '" +
           to + "'";
}

// Plays, and prints a line for each picture.
static std::string play(const std::string &from) {
    return FFMPEG + "-analyzeduration 500000 -i '" + from +
           "' -map 0:v -c copy -flush_packets 1 -f framecrc -";
}

static void write_frame(openrtmp::Publisher &publisher, std::int32_t expected) {
    static const std::uint8_t sound[] = {0xFF, 0xFB, 0x90, 0x00};
    openrtmp_media media = OPENRTMP_MEDIA_INIT;
    media.kind = OPENRTMP_MEDIA_AUDIO;
    media.payload = sound;
    media.payload_length = sizeof sound;
    const auto status = publisher.write(media);
    CHECK(status.code() == expected);
}

static openrtmp::Publisher host_publisher(openrtmp::Server &server, const std::string &stream) {
    openrtmp::Publisher publisher(server, stream);
    openrtmp_track track = OPENRTMP_TRACK_INIT;
    track.kind = OPENRTMP_MEDIA_AUDIO;
    track.codec = OPENRTMP_FOURCC_MP3;
    CHECK(publisher.configure(track));
    return publisher;
}

// Writes the file's name last: the harness looks into the file.
static void recording(const std::string &folder) {
    Events events;
    openrtmp::Callbacks on;
    on.on_event = into(events);
    openrtmp::Server server(local(), on);
    CHECK(server.start());
    CHECK(server.start_recording("live/cam", folder));
    CHECK(server.start_recording("live/cam", folder).code() == OPENRTMP_ERROR_BUSY);
    Peer publisher(publish(url(server, "live/cam"), 2));
    CHECK(publisher.exit_code() == 0);
    first(events, OPENRTMP_EVENT_STREAM_ENDED);
    openrtmp_recording made = OPENRTMP_RECORDING_INIT;
    CHECK(server.stop_recording("live/cam", &made));
    CHECK(server.stop_recording("live/cam").code() == OPENRTMP_ERROR_NOT_FOUND);
    const Event started = first(events, OPENRTMP_EVENT_RECORDING_STARTED);
    const Event finished = first(events, OPENRTMP_EVENT_RECORDING_FINISHED);
    CHECK(started.text == finished.text && finished.stream == "live/cam");
    CHECK(finished.number > 1000);
    CHECK(made.files == 1 && made.bytes == finished.number && made.lost_frames == 0);
    CHECK(made.duration_ms > 1500 && made.duration_ms < 2500);
    CHECK(count(events, OPENRTMP_EVENT_RECORDING_FAILED) == 0);
    std::cout << finished.text << std::endl;
}

// Another thread answers, once the callback has returned.
static void access_later() {
    struct Question {
        std::uint64_t id;
        std::uint32_t action;
        std::string stream;
        std::uint64_t timeout;
    };
    struct Asked {
        bool inside, over;
        std::deque<Question> questions;
    };
    Watched<Asked> asked;
    Events events;
    openrtmp::Callbacks on;
    on.on_event = into(events);
    on.on_access = [&asked](const openrtmp_access_request &r) {
        asked.change([](Asked &a) { a.inside = true; });
        asked.change([&](Asked &a) {
            a.questions.push_back(
                {r.request_id, r.action, std::string(view(r.stream)), r.timeout_ms});
            a.inside = false;
        });
    };
    openrtmp::Server server(local(), on);
    CHECK(server.start());
    std::thread answering([&] {
        for (;;) {
            const Asked now = asked.wait(
                [](const Asked &a) { return a.over || (!a.inside && !a.questions.empty()); });
            if (now.questions.empty()) return;
            const Question question = now.questions.front();
            asked.change([](Asked &a) { a.questions.pop_front(); });
            CHECK(question.timeout == 10000);
            const bool no = question.stream.find("no") != std::string::npos;
            CHECK(no ? server.reject(question.id, "not this one") : server.accept(question.id));
            CHECK(server.accept(question.id).code() == OPENRTMP_ERROR_NOT_FOUND);
            CHECK(server.reject(question.id, "").code() == OPENRTMP_ERROR_NOT_FOUND);
        }
    });
    Peer refused(publish(url(server, "live/no-publisher"), 1));
    CHECK(refused.exit_code() != 0);
    Peer publisher(publish(url(server, "live/yes"), 4));
    first(events, OPENRTMP_EVENT_STREAM_PUBLISHED);
    Peer player(play(url(server, "live/yes")));
    Peer no_player(play(url(server, "live/no-player")));
    CHECK(no_player.exit_code() != 0);
    CHECK(publisher.exit_code() == 0);
    CHECK(player.exit_code() == 0);
    CHECK(player.lines.now() > 10);
    const auto decided = [&](std::uint32_t granted, std::uint64_t action, const char *stream) {
        return first(events, OPENRTMP_EVENT_ACCESS, [&](const Event &e) {
            return e.flag == granted && e.stream == stream && e.number == action;
        });
    };
    CHECK(decided(0, OPENRTMP_ACCESS_PUBLISH, "live/no-publisher").text == "not this one");
    CHECK(decided(0, OPENRTMP_ACCESS_PLAY, "live/no-player").text == "not this one");
    CHECK(decided(1, OPENRTMP_ACCESS_PUBLISH, "live/yes").text.empty());
    CHECK(decided(1, OPENRTMP_ACCESS_PLAY, "live/yes").json.find("\"action\":\"play\"") !=
          std::string::npos);
    asked.change([](Asked &a) { a.over = true; });
    answering.join();
}

static void connections() {
    Events events;
    openrtmp::Callbacks on;
    on.on_event = into(events);
    openrtmp::Server server(local(), on);
    CHECK(server.start());
    Peer publisher(publish(url(server, "live/cam"), 60));
    first(events, OPENRTMP_EVENT_STREAM_TRACKS);
    Peer player(play(url(server, "live/cam")));
    player.lines.wait([](int n) { return n > 10; });
    const Event joined = first(events, OPENRTMP_EVENT_SUBSCRIBER_JOINED);
    int players = 0;
    CHECK(server.subscribers("live/cam", [&](const openrtmp_subscriber_info &info) {
        CHECK(info.connection_id == joined.connection && info.dropped_frames == 0);
        CHECK(info.join_ms != UINT64_MAX);
        ++players;
    }));
    CHECK(players == 1);
    int playing = 0, publishing = 0;
    CHECK(server.connections([&](const openrtmp_connection_info &info) {
        CHECK(view(info.peer).substr(0, 10) == "127.0.0.1:");
        const bool plays = view(info.stage) == "playing";
        CHECK(plays == (info.connection_id == joined.connection));
        CHECK(plays ? info.bytes_out > 1000 : info.bytes_in > 1000);
        ++(plays ? playing : publishing);
    }));
    CHECK(playing == 1 && publishing == 1);
    CHECK(server.streams([&](const openrtmp_stream_info &info) {
        CHECK(view(info.name) == "live/cam" && info.live == 1 && info.subscribers == 1);
        CHECK(info.width == 64 && info.height == 48 && info.video_frames > 10);
        CHECK(view(info.codecs).substr(0, 5) == "avc1.");
    }));
    openrtmp_metrics metrics = OPENRTMP_METRICS_INIT;
    CHECK(server.metrics(metrics));
    CHECK(metrics.connections == 2 && metrics.publishers == 1 && metrics.subscribers == 1);
    CHECK(metrics.errors_internal == 0);
    // What came from the cache is not counted.
    for (int seen = 10; metrics.delay_frames <= 10; seen += 10) {
        player.lines.wait([seen](int n) { return n > seen; });
        CHECK(server.metrics(metrics));
    }

    CHECK(server.set_write_coalesce(joined.connection, 100));
    CHECK(server.set_write_coalesce(joined.connection, 351).code() == OPENRTMP_ERROR_CONFIG);
    CHECK(server.set_write_coalesce(joined.connection, OPENRTMP_COALESCE_DEFAULT));
    CHECK(server.set_background(true));
    const int so_far = player.lines.now();
    player.lines.wait([&](int n) { return n > so_far + 10; });
    CHECK(server.set_background(false));
    CHECK(server.disconnect(joined.connection, "enough"));
    const auto is_player = [&](const Event &e) { return e.connection == joined.connection; };
    const Event closed = first(events, OPENRTMP_EVENT_CONNECTION_CLOSED, is_player);
    CHECK(closed.reason == OPENRTMP_CLOSE_HOST);
    CHECK(closed.text.find("enough") != std::string::npos);
    player.exit_code();
    // The id was good once.
    CHECK(server.disconnect(joined.connection, "").code() == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(server.set_write_coalesce(joined.connection, 0).code() == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(server.subscribers("live/x", [](const openrtmp_subscriber_info &) {}).code() ==
          OPENRTMP_ERROR_NOT_FOUND);
    CHECK(server.end_stream("live/cam", "over"));
    first(events, OPENRTMP_EVENT_STREAM_ENDED);
    publisher.exit_code();
    CHECK(server.end_stream("live/cam", "over").code() == OPENRTMP_ERROR_NOT_FOUND);
}

// Callbacks of every kind stand still for 5 s and more; a player goes on.
static void blocked() {
    constexpr int KINDS = 4, PICTURES = 125;  // of 5 s
    struct Blocked {
        bool wanted, over;
        std::map<std::string, int> in;
    };
    Watched<Blocked> state;
    const auto block = [&state](const char *kind) {
        state.change([&](Blocked &b) {
            if (b.wanted) ++b.in[kind];
        });
        state.wait([](const Blocked &b) { return !b.wanted || b.over; });
    };
    Events events;
    const auto record = into(events);
    openrtmp::Callbacks on;
    on.on_event = [&](const openrtmp_event &event) {
        record(event);
        block("event");
    };
    std::atomic<openrtmp::Server *> self{nullptr};
    on.on_access = [&](const openrtmp_access_request &request) {
        // Who asked while this was blocked may have waited too long.
        const auto accepted = self.load()->accept(request.request_id);
        CHECK(accepted || accepted.code() == OPENRTMP_ERROR_NOT_FOUND);
        block("access");
    };
    CHECK(openrtmp::set_log(OPENRTMP_LOG_TRACE, [&](const openrtmp_log_record &) { block("log"); }));
    openrtmp::Server server(local(), on);
    self = &server;
    CHECK(server.start());
    openrtmp::TapCallbacks tapped;
    tapped.on_frame = [&](const openrtmp_frame &) { block("tap"); };
    const openrtmp::Tap tap(server, "", tapped);
    Peer publisher(publish(url(server, "live/cam"), 60));
    first(events, OPENRTMP_EVENT_STREAM_TRACKS);
    Peer player(play(url(server, "live/cam")));
    player.lines.wait([](int n) { return n > 10; });

    state.change([](Blocked &b) { b.wanted = true; });
    // Its coming is an event, a question and a log record.
    Peer late(publish(url(server, "live/late"), 1));
    state.wait([](const Blocked &b) { return b.in.size() == KINDS; });
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    const int before = player.lines.now();
    player.lines.wait([&](int n) {
        return n >= before + PICTURES && std::chrono::steady_clock::now() >= until;
    });
    const Blocked then = state.now();
    for (const auto &[kind, times] : then.in) CHECK(times == 1 && !kind.empty());
    openrtmp_metrics metrics = OPENRTMP_METRICS_INIT;
    CHECK(server.metrics(metrics) && metrics.dropped_frames == 0);
    state.change([](Blocked &b) { b.over = true; });
    CHECK(server.stop(0));
    publisher.exit_code();
    player.exit_code();
    CHECK(openrtmp::clear_log());
}

// A server is freed with a publisher, a player, a tap and a recording at work.
static void freed(const std::string &folder) {
    Watched<int> frames, closed;
    Events events;
    std::optional<openrtmp::Tap> tap;
    std::optional<openrtmp::Publisher> host;
    std::optional<Peer> publisher, player;
    {
        openrtmp::Callbacks on;
        on.on_event = into(events);
        on.on_closed = [&] { closed.change([](int &n) { ++n; }); };
        openrtmp::Server server(local(), on);
        CHECK(server.start());
        CHECK(server.start_recording("live/cam", folder));
        openrtmp::TapCallbacks tapped;
        tapped.on_frame = [&](const openrtmp_frame &) { frames.change([](int &n) { ++n; }); };
        tapped.on_closed = [&] { closed.change([](int &n) { n += 10; }); };
        tap.emplace(server, "", tapped);
        host.emplace(host_publisher(server, "live/host"));
        publisher.emplace(publish(url(server, "live/cam"), 60));
        first(events, OPENRTMP_EVENT_STREAM_TRACKS,
              [](const Event &e) { return e.stream == "live/cam"; });
        player.emplace(play(url(server, "live/cam")));
        player->lines.wait([](int n) { return n > 10; });
        frames.wait([](int n) { return n > 10; });
        write_frame(*host, OPENRTMP_OK);
    }
    closed.wait([](int n) { return n == 11; });
    write_frame(*host, OPENRTMP_ERROR_STATE);
    publisher->exit_code();
    player->exit_code();
    // What was being recorded is whole.
    const Event finished = first(events, OPENRTMP_EVENT_RECORDING_FINISHED);
    host.reset();
    tap.reset();
    std::cout << finished.text << std::endl;
}

static void two_servers() {
    struct Side {
        Events events;
        Watched<int> frames;
        std::string strange;
    };
    Side one, two;
    const auto server_of = [](Side &side) {
        openrtmp::Callbacks on;
        on.on_event = into(side.events);
        return openrtmp::Server(local(), on);
    };
    const auto tap_of = [](openrtmp::Server &server, Side &side, const std::string &name) {
        openrtmp::TapCallbacks tapped;
        tapped.on_frame = [&side, name](const openrtmp_frame &frame) {
            if (view(frame.stream) != name) side.strange = view(frame.stream);
            side.frames.change([](int &n) { ++n; });
        };
        return openrtmp::Tap(server, "", tapped);
    };
    std::optional<openrtmp::Server> first_server(server_of(one));
    openrtmp::Server second_server(server_of(two));
    CHECK(first_server->start() && second_server.start());
    CHECK(first_server->port() != second_server.port());
    std::optional<openrtmp::Tap> first_tap(tap_of(*first_server, one, "live/one"));
    const openrtmp::Tap second_tap(tap_of(second_server, two, "live/two"));
    Peer first_publisher(publish(url(*first_server, "live/one"), 60));
    Peer second_publisher(publish(url(second_server, "live/two"), 60));
    one.frames.wait([](int n) { return n > 10; });
    two.frames.wait([](int n) { return n > 10; });
    first_tap.reset();
    first_server.reset();
    first_publisher.exit_code();
    // The other one goes on.
    const int before = two.frames.now();
    two.frames.wait([&](int n) { return n > before + 25; });
    CHECK(one.strange.empty() && two.strange.empty());
    CHECK(count(one.events, OPENRTMP_EVENT_STREAM_PUBLISHED) == 1);
    CHECK(count(two.events, OPENRTMP_EVENT_STREAM_PUBLISHED) == 1);
    CHECK(count(two.events, OPENRTMP_EVENT_CONNECTION_CLOSED) == 0);
    CHECK(second_server.stop(0));
    second_publisher.exit_code();
}

static void keys() {
    Events events;
    openrtmp::Callbacks on;
    on.on_event = into(events);
    openrtmp::Server server(local(), on);
    CHECK(server.start());
    std::string publish_key, play_key;
    CHECK(openrtmp::generate_key(publish_key) && openrtmp::generate_key(play_key));
    CHECK(publish_key != play_key);
    CHECK(server.add_key(OPENRTMP_KEY_PUBLISH, publish_key));
    CHECK(server.add_key(OPENRTMP_KEY_PLAY, play_key));
    Peer without(publish(url(server, "live/cam"), 1));
    CHECK(without.exit_code() != 0);
    Peer with_other(publish(url(server, "live/cam?key=" + play_key), 1));
    CHECK(with_other.exit_code() != 0);
    Peer publisher(publish(url(server, "live/cam?key=" + publish_key), 60));
    first(events, OPENRTMP_EVENT_STREAM_TRACKS);
    Peer stranger(play(url(server, "live/cam")));
    CHECK(stranger.exit_code() != 0);
    Peer player(play(url(server, "live/cam?key=" + play_key)));
    player.lines.wait([](int n) { return n > 10; });
    CHECK(server.revoke_key(OPENRTMP_KEY_PLAY, play_key));
    // What the key opened ends with it; how FFmpeg calls that end is its matter.
    player.exit_code();
    CHECK(server.revoke_key(OPENRTMP_KEY_PUBLISH, publish_key));
    CHECK(server.revoke_key(OPENRTMP_KEY_PUBLISH, publish_key).code() == OPENRTMP_ERROR_NOT_FOUND);
    first(events, OPENRTMP_EVENT_STREAM_ENDED);
    publisher.exit_code();
    Peer again(publish(url(server, "live/cam"), 1));
    CHECK(again.exit_code() != 0);
    for (const Event &event : events.now()) {
        CHECK(event.json.find(publish_key) == std::string::npos);
        CHECK(event.json.find(play_key) == std::string::npos);
    }
    CHECK(server.stop(0));
}

static void host_publishers() {
    Events events;
    openrtmp::Callbacks on;
    on.on_event = into(events);
    openrtmp::Config config = local();
    config.set("streams.second_publisher", "takeover").or_throw();
    openrtmp::Server server(config, on);
    CHECK(server.start());
    openrtmp::Publisher host = host_publisher(server, "live/cam");
    write_frame(host, OPENRTMP_OK);
    Peer publisher(publish(url(server, "live/cam"), 60));
    first(events, OPENRTMP_EVENT_STREAM_PUBLISHED, [](const Event &e) { return e.flag == 1; });
    write_frame(host, OPENRTMP_ERROR_GONE);
    CHECK(std::string(openrtmp_last_error_message()) == "another publisher took over the stream");
    // And back.
    openrtmp::Publisher back = host_publisher(server, "live/cam");
    publisher.exit_code();
    write_frame(back, OPENRTMP_OK);
    CHECK(server.end_stream("live/cam", "over"));
    first(events, OPENRTMP_EVENT_STREAM_ENDED);
    write_frame(back, OPENRTMP_ERROR_GONE);
    CHECK(std::string(openrtmp_last_error_message()) == "the stream was ended");
    openrtmp_track track = OPENRTMP_TRACK_INIT;
    const std::uint8_t config_bytes[] = {0x11, 0x90};
    track.kind = OPENRTMP_MEDIA_AUDIO;
    track.codec = OPENRTMP_FOURCC_AAC;
    track.config = config_bytes;
    track.config_length = sizeof config_bytes;
    CHECK(back.configure(track).code() == OPENRTMP_ERROR_GONE);
    CHECK(back.write_message(OPENRTMP_MEDIA_AUDIO, 0, config_bytes, 2).code() ==
          OPENRTMP_ERROR_GONE);
    CHECK(count(events, OPENRTMP_EVENT_STREAM_PUBLISHED) == 3);
    CHECK(count(events, OPENRTMP_EVENT_STREAM_UNPUBLISHED) == 1);
    CHECK(count(events, OPENRTMP_EVENT_STREAM_ENDED) == 1);
    CHECK(server.stop(0));
    write_frame(back, OPENRTMP_ERROR_STATE);
}

static void reconfigured(const std::string &folder) {
    Events events;
    openrtmp::Callbacks on;
    on.on_event = into(events);
    openrtmp::Server server(local(), on);
    openrtmp::Config config;
    CHECK(server.config(config));
    CHECK(config.set("limits.publishers", "2"));
    std::vector<std::string> changed;
    // For its start.
    CHECK(server.reconfigure(config, changed));
    CHECK(changed == std::vector<std::string>{"limits.publishers"});
    CHECK(server.start());
    CHECK(count(events, OPENRTMP_EVENT_CONFIG_CHANGED) == 0);

    Peer publisher(publish(url(server, "live/cam"), 60));
    first(events, OPENRTMP_EVENT_STREAM_TRACKS);
    const std::uint32_t port = server.port();
    std::string text;
    CHECK(server.config(config) && config.get("limits.publishers", text) && text == "2");
    // The port that the system chose, and another.
    CHECK(server.address(0, text));
    CHECK(config.set("listen", text + ",127.0.0.1:0"));
    CHECK(config.set("streams.second_publisher", "takeover"));
    CHECK(config.set("record.directory", folder));
    changed.clear();
    CHECK(server.reconfigure(config, changed));
    CHECK(changed.size() == 3);
    const Event told = first(events, OPENRTMP_EVENT_CONFIG_CHANGED);
    CHECK(told.text.find("listen") != std::string::npos);
    CHECK(told.text.find("record") != std::string::npos);
    CHECK(server.port(0) == port && server.port(1) != 0 && server.port(1) != port);
    // What is live is recorded from its newest key frame on.
    first(events, OPENRTMP_EVENT_RECORDING_STARTED);
    Peer second(publish("rtmp://127.0.0.1:" + std::to_string(server.port(1)) + "/live/cam", 2));
    first(events, OPENRTMP_EVENT_STREAM_PUBLISHED, [](const Event &e) { return e.flag == 1; });
    publisher.exit_code();
    CHECK(second.exit_code() == 0);
    first(events, OPENRTMP_EVENT_STREAM_ENDED);

    // All or nothing.
    CHECK(config.set("workers", "7") && config.set("limits.publishers", "5"));
    const auto restart = server.reconfigure(config);
    CHECK(restart.code() == OPENRTMP_ERROR_NEEDS_RESTART);
    CHECK(restart.message().find("workers") != std::string::npos);
    CHECK(config.set("rtmp.chunk_size", "1").code() == OPENRTMP_ERROR_CONFIG);
    CHECK(config.set("workers", "1"));
    openrtmp::Server other(local());
    CHECK(other.start() && other.address(0, text));
    CHECK(config.set("listen", text));
    CHECK(server.reconfigure(config).code() == OPENRTMP_ERROR_LISTEN);
    CHECK(server.config(config) && config.get("limits.publishers", text) && text == "2");
    CHECK(count(events, OPENRTMP_EVENT_CONFIG_CHANGED) == 1);

    // Off again: the file is whole when it returns.
    CHECK(config.set("record", "null"));
    CHECK(server.reconfigure(config));
    const Event finished = first(events, OPENRTMP_EVENT_RECORDING_FINISHED);
    Peer last(publish(url(server, "live/cam"), 1));
    CHECK(last.exit_code() == 0);
    CHECK(server.stop(2000));
    CHECK(count(events, OPENRTMP_EVENT_RECORDING_STARTED) ==
          count(events, OPENRTMP_EVENT_RECORDING_FINISHED));
    CHECK(server.config(config) && config.get("limits.publishers", text) && text == "2");
    std::cout << finished.text << std::endl;
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    const std::string which = argv[1], folder = argc > 2 ? argv[2] : "";
    const std::map<std::string, std::function<void()>> cases = {
        {"recording", [&] { recording(folder); }},
        {"access", access_later},
        {"connections", connections},
        {"blocked", blocked},
        {"freed", [&] { freed(folder); }},
        {"two_servers", two_servers},
        {"keys", keys},
        {"host_publishers", host_publishers},
        {"reconfigured", [&] { reconfigured(folder); }},
    };
    CHECK(cases.count(which) == 1);
    cases.at(which)();
    return 0;
}
