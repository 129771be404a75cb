// The C++ header: ownership, callbacks, errors.
#include <openrtmp.hpp>

#include <cstdlib>
#include <future>
#include <iostream>
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

int main() {
    CHECK(openrtmp::abi_matches());

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
        CHECK(server.metrics_json(text) && text.find("\"live/a\"") != std::string::npos);
        std::string key;
        CHECK(openrtmp::generate_key(key) && key.size() == 32);
        CHECK(server.add_key(OPENRTMP_KEY_PLAY, key));
        std::vector<std::string> keys, urls;
        CHECK(server.keys(OPENRTMP_KEY_PLAY, keys) && keys == std::vector<std::string>{key});
        CHECK(server.urls("live/a", urls) && urls.size() == 1);
        CHECK(urls[0] == "rtmp://127.0.0.1:" + std::to_string(server.port()) + "/live/a");
        CHECK(server.stop(0));
    }
    closed.get_future().wait();
    std::cout << "ok" << std::endl;
}
