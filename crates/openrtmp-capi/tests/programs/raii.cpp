// The C++ header: ownership, callbacks, errors.
#include <openrtmp.hpp>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <future>
#include <iostream>
#include <thread>
#include <type_traits>

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            std::cerr << __LINE__ << ": " << #condition << std::endl;        \
            std::exit(1);                                                    \
        }                                                                    \
    } while (0)

static_assert(!std::is_copy_constructible_v<openrtmp::Server>);
static_assert(std::is_nothrow_move_constructible_v<openrtmp::Server>);
static_assert(!std::is_copy_constructible_v<openrtmp::Config>);
static_assert(!std::is_copy_constructible_v<openrtmp::Tap>);
static_assert(!std::is_copy_constructible_v<openrtmp::Publisher>);

/// Its callbacks use the object that the server is a member of, which is gone when the
/// destructor has returned.
class App {
public:
    explicit App(const openrtmp::Config &config) : server_(config, callbacks()) {
        CHECK(server_.start());
    }
    ~App() {
        for (int n = 0; n < 50; ++n) openrtmp::Publisher(server_, "live/x");
    }

private:
    openrtmp::Callbacks callbacks() {
        openrtmp::Callbacks callbacks;
        callbacks.on_event = [this](const openrtmp_event &) {
            // The first is under way for longer than openrtmp_server_free() waits.
            std::this_thread::sleep_for(std::chrono::milliseconds(*seen_ == 0 ? 1500 : 1));
            ++*seen_;
        };
        callbacks.on_closed = [this] { CHECK(*seen_ > 0); };
        return callbacks;
    }

    std::unique_ptr<int> seen_ = std::make_unique<int>(0);
    openrtmp::Server server_;
};

/// A server that is destroyed inside a callback of its own.
void destroyed_inside(const openrtmp::Config &config) {
    auto server = std::make_unique<std::unique_ptr<openrtmp::Server>>();
    std::promise<void> closed;
    openrtmp::Callbacks callbacks;
    callbacks.on_event = [&, slot = server.get()](const openrtmp_event &event) {
        if (event.kind == OPENRTMP_EVENT_STREAM_PUBLISHED) slot->reset();
    };
    callbacks.on_closed = [&] { closed.set_value(); };
    *server = std::make_unique<openrtmp::Server>(config, std::move(callbacks));
    CHECK((*server)->start());
    const openrtmp::Publisher publisher(**server, "live/x");
    closed.get_future().wait();
    CHECK(*server == nullptr);
}

/// Events and frames that are fetched, and a frame that is not copied.
void fetched(const openrtmp::Config &config) {
    openrtmp::Server server(config);
    openrtmp::Events events(server);
    CHECK(server.start());
    openrtmp::Tap tap(server, "");
    std::ptrdiff_t descriptor = -1;
    CHECK(tap.descriptor(descriptor) && descriptor >= 0);
    CHECK(events.descriptor(descriptor) && descriptor >= 0);
    openrtmp::Publisher publisher(server, "live/x");
    openrtmp_track track = OPENRTMP_TRACK_INIT;
    track.kind = OPENRTMP_MEDIA_AUDIO;
    track.codec = OPENRTMP_FOURCC_MP3;
    CHECK(publisher.configure(track));
    openrtmp_media media = OPENRTMP_MEDIA_INIT;
    std::uint8_t *buffer = nullptr;
    CHECK(publisher.lend(4, buffer));
    std::memcpy(buffer, "mp3!", 4);
    media.kind = OPENRTMP_MEDIA_AUDIO;
    media.payload = buffer;
    media.payload_length = 4;
    CHECK(publisher.write(media));
    CHECK(publisher.lend(4, buffer));
    openrtmp_tap_item item = OPENRTMP_TAP_ITEM_INIT;
    CHECK(tap.next(60000, item) && item.kind == OPENRTMP_TAP_STARTED);
    CHECK(tap.next(60000, item) && item.kind == OPENRTMP_TAP_FRAME);
    CHECK(std::memcmp(item.frame->payload, "mp3!", 4) == 0);
    const openrtmp_event *event = nullptr;
    CHECK(events.next(60000, event) && event->kind == OPENRTMP_EVENT_SERVER_STARTED);
    CHECK(server.stop(0));
}

/// Bytes that the library writes.
void codecs() {
    const std::uint8_t frame[] = {0, 2, 0x65, 7};
    const std::vector<std::uint8_t> stream = {0, 0, 0, 1, 0x65, 7};
    std::vector<std::uint8_t> made;
    CHECK(openrtmp::annex_b_of_frame(frame, sizeof frame, 2, made) && made == stream);
    CHECK(openrtmp::annex_b_to_frame(stream.data(), stream.size(), made));
    CHECK(made == std::vector<std::uint8_t>({0, 0, 0, 2, 0x65, 7}));
    const auto wrong = openrtmp::annex_b_to_frame(frame, sizeof frame, made);
    CHECK(wrong.code() == OPENRTMP_ERROR_INVALID_ARGUMENT && made.size() == 6);

    const std::vector<std::uint8_t> aac = {0x12, 0x10};
    const openrtmp::DecoderConfig config(OPENRTMP_MEDIA_AUDIO, OPENRTMP_FOURCC_AAC, aac.data(),
                                         aac.size());
    openrtmp_media_format format = OPENRTMP_MEDIA_FORMAT_INIT;
    std::string name;
    CHECK(config.format(format) && format.sample_rate == 44100);
    CHECK(config.codec_string(name) && name == "mp4a.40.2");
    CHECK(config.part(0, made) && made == aac);
    CHECK(config.part(1, made).code() == OPENRTMP_ERROR_NOT_FOUND);
    CHECK(!openrtmp::DecoderConfig::of_sets(OPENRTMP_FOURCC_AVC, stream.data(), stream.size(), made));
}

int main() {
    CHECK(openrtmp::abi_matches());
    codecs();

    openrtmp::Config config(OPENRTMP_PROFILE_MOBILE);
    CHECK(config.set("listen", "127.0.0.1:0"));
    const auto unknown = config.set("listn", "x");
    CHECK(unknown.code() == OPENRTMP_ERROR_CONFIG);
    CHECK(unknown.message().find("did you mean listen") != std::string::npos);
    try {
        unknown.or_throw();
        CHECK(false);
    } catch (const openrtmp::Error &e) {
        CHECK(e.code() == OPENRTMP_ERROR_CONFIG);
    }
    {
        const App app(config);
    }
    destroyed_inside(config);
    fetched(config);

    std::string text;
    CHECK(config.dump(text, OPENRTMP_FORMAT_JSON));
    openrtmp::Config copy;
    CHECK(copy.load_text(text));
    CHECK(copy.get("limits.connections", text) && text == "100");

    std::promise<std::string> published;
    std::promise<void> closed;
    bool told = false;
    openrtmp::Callbacks callbacks;
    callbacks.on_event = [&](const openrtmp_event &event) {
        if (event.kind == OPENRTMP_EVENT_STREAM_PUBLISHED && !told) {
            told = true;
            published.set_value(std::string(openrtmp::view(event.stream)));
        }
    };
    callbacks.on_closed = [&] { closed.set_value(); };
    {
        openrtmp::Server first(copy, std::move(callbacks));
        openrtmp::Server server(std::move(first));
        CHECK(server.state() == OPENRTMP_STATE_STOPPED && server.port() == 0);
        CHECK(server.start());
        CHECK(server.port() != 0);

        std::promise<openrtmp::Frame> received;
        bool first_frame = true;
        openrtmp::TapCallbacks on;
        on.on_frame = [&](const openrtmp_frame &frame) {
            if (first_frame && frame.kind == OPENRTMP_MEDIA_AUDIO) {
                first_frame = false;
                received.set_value(openrtmp::Frame(frame));
            }
        };
        openrtmp::Tap tap(server, "live/a", std::move(on));

        openrtmp::Publisher publisher(server, "live/a");
        try {
            openrtmp::Publisher second(server, "live/a");
            CHECK(false);
        } catch (const openrtmp::Error &e) {
            CHECK(e.code() == OPENRTMP_ERROR_BUSY);
        }
        openrtmp_track track = OPENRTMP_TRACK_INIT;
        track.kind = OPENRTMP_MEDIA_AUDIO;
        track.codec = OPENRTMP_FOURCC_MP3;
        CHECK(publisher.configure(track));
        const std::uint8_t sound[] = {0xFF, 0xFB, 0x90, 0x00};
        openrtmp_media media = OPENRTMP_MEDIA_INIT;
        media.kind = OPENRTMP_MEDIA_AUDIO;
        media.payload = sound;
        media.payload_length = sizeof sound;
        CHECK(publisher.write(media));

        const openrtmp::Frame frame = received.get_future().get();
        CHECK(frame->codec == OPENRTMP_FOURCC_MP3 && frame->payload_length == 4);
        CHECK(frame->payload[1] == 0xFB);
        CHECK(published.get_future().get() == "live/a");

        int streams = 0;
        CHECK(server.streams([&](const openrtmp_stream_info &s) {
            streams += openrtmp::view(s.name) == "live/a";
        }));
        CHECK(streams == 1);
        CHECK(server.metrics_text(text) &&
              text.find("{stream=\"live/a\"} ") != std::string::npos);
        CHECK(server.metrics_json(text) && text.find("\"live/a\"") != std::string::npos);
        std::string key;
        CHECK(openrtmp::generate_key(key) && key.size() == 32);
        CHECK(server.add_key(OPENRTMP_KEY_PLAY, key));
        std::vector<std::string> keys, urls;
        CHECK(server.keys(OPENRTMP_KEY_PLAY, keys) && keys == std::vector<std::string>{key});
        CHECK(server.urls("live/a", urls) && urls.size() == 1);
        CHECK(urls[0] == "rtmp://127.0.0.1:" + std::to_string(server.port()) + "/live/a");
        CHECK(!server.drain(0, "no URL"));
        openrtmp_summary summary = OPENRTMP_SUMMARY_INIT;
        // Nobody is there: it is over at once.
        CHECK(server.drain(3600000, "rtmp://host", &summary) && summary.forced == 0);
    }
    closed.get_future().wait();
    std::cout << "ok" << std::endl;
}
