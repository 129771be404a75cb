// Writes the H.264 of the first stream that is published to an Annex B file, and ends
// with the stream: tap FILE [ADDRESS:PORT]. Play the file with ffplay.
#include <openrtmp.hpp>

#include <fstream>
#include <future>
#include <iostream>
#include <string>
#include <vector>

namespace {

/// Puts start codes where RTMP has lengths.
class AnnexB {
public:
    explicit AnnexB(std::ostream &out) : out_(out) {}

    /// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1): the size of lengths,
    /// then parameter sets, each behind 16 bits of length.
    void configure(const std::uint8_t *data, std::size_t size) {
        if (size < 6) return;
        length_size_ = (data[4] & 3u) + 1u;
        std::size_t at = 5;
        for (const unsigned mask : {0x1Fu, 0xFFu}) {
            if (at >= size) return;
            for (unsigned left = data[at++] & mask; left > 0 && at + 2 <= size; --left) {
                const std::size_t length = data[at] * 256u + data[at + 1];
                at += 2;
                if (length > size - at) return;
                unit(data + at, length);
                at += length;
            }
        }
    }

    void frame(const std::uint8_t *data, std::size_t size) {
        std::size_t at = 0;
        while (size - at >= length_size_) {
            std::size_t length = 0;
            for (std::size_t i = 0; i < length_size_; ++i) length = length * 256 + data[at++];
            if (length > size - at) return;
            unit(data + at, length);
            at += length;
        }
    }

private:
    void unit(const std::uint8_t *data, std::size_t size) {
        out_.write("\0\0\0\1", 4);
        out_.write(reinterpret_cast<const char *>(data), static_cast<std::streamsize>(size));
    }

    std::ostream &out_;
    std::size_t length_size_ = 4;
};

}  // namespace

int main(int argc, char **argv) try {
    if (argc < 2) throw std::runtime_error("usage: tap FILE [ADDRESS:PORT]");
    std::ofstream file(argv[1], std::ios::binary);
    if (!file) throw std::runtime_error("cannot write the file");
    AnnexB out(file);
    std::promise<void> ended;

    openrtmp::Config config;
    if (argc > 2) config.set("listen", argv[2]).or_throw();
    openrtmp::Server server(config);
    server.start().or_throw();

    std::uint64_t frames = 0, stream = 0;
    openrtmp::TapCallbacks callbacks;
    callbacks.on_started = [&](std::uint64_t id, std::string_view) {
        if (stream == 0) stream = id;
    };
    callbacks.on_frame = [&](const openrtmp_frame &frame) {
        if (frame.stream_id != stream || frame.codec != OPENRTMP_FOURCC_AVC) return;
        if (frame.flags & OPENRTMP_FRAME_CONFIG) {
            out.configure(frame.payload, frame.payload_length);
        } else if (!(frame.flags & (OPENRTMP_FRAME_METADATA | OPENRTMP_FRAME_END))) {
            out.frame(frame.payload, frame.payload_length);
            ++frames;
        }
    };
    bool told = false;
    callbacks.on_ended = [&](std::uint64_t id, std::string_view) {
        if (id == stream && !told) {
            told = true;
            ended.set_value();
        }
    };
    {
        openrtmp::Tap tap(server, "", std::move(callbacks));
        std::cout << "publish to rtmp://127.0.0.1:" << server.port() << "/live/cam"
                  << std::endl;
        ended.get_future().wait();
    }
    std::cout << frames << " frames" << std::endl;
    return file.flush() ? 0 : 1;
} catch (const std::exception &e) {
    std::cerr << "error: " << e.what() << std::endl;
    return 1;
}
