// Publishes an FLV file from inside the process, at its own pace:
// publish FILE.flv [ADDRESS:PORT]. Play rtmp://127.0.0.1/live/file meanwhile.
#include <openrtmp.hpp>

#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Tag {
    std::uint32_t kind;
    std::uint32_t timestamp;
    std::vector<std::uint8_t> body;
};

std::uint32_t number(const unsigned char *bytes) {
    return bytes[0] << 16u | bytes[1] << 8u | bytes[2];
}

/// The next tag (Adobe FLV 10.1, E.4.1): type, size, time with its upper byte last,
/// stream id, body, and the size of it all again.
bool read(std::istream &file, Tag &tag) {
    unsigned char head[11];
    if (!file.read(reinterpret_cast<char *>(head), sizeof head)) return false;
    switch (head[0] & 0x1F) {
        case 8: tag.kind = OPENRTMP_MEDIA_AUDIO; break;
        case 9: tag.kind = OPENRTMP_MEDIA_VIDEO; break;
        default: tag.kind = OPENRTMP_MEDIA_DATA;
    }
    tag.timestamp = number(head + 4) | static_cast<std::uint32_t>(head[7]) << 24u;
    tag.body.resize(number(head + 1));
    file.read(reinterpret_cast<char *>(tag.body.data()),
              static_cast<std::streamsize>(tag.body.size()));
    return static_cast<bool>(file.ignore(4));
}

}  // namespace

int main(int argc, char **argv) try {
    if (argc < 2) throw std::runtime_error("usage: publish FILE.flv [ADDRESS:PORT]");
    std::ifstream file(argv[1], std::ios::binary);
    char signature[3] = {};
    if (!file.read(signature, 3) || std::string(signature, 3) != "FLV") {
        throw std::runtime_error("not an FLV file");
    }
    file.ignore(10);

    openrtmp::Config config;
    if (argc > 2) config.set("listen", argv[2]).or_throw();
    openrtmp::Server server(config);
    server.start().or_throw();
    openrtmp::Publisher publisher(server, "live/file");
    std::cout << "play rtmp://127.0.0.1:" << server.port() << "/live/file" << std::endl;

    const auto start = std::chrono::steady_clock::now();
    Tag tag;
    std::uint64_t count = 0;
    for (; read(file, tag); ++count) {
        std::this_thread::sleep_until(start + std::chrono::milliseconds(tag.timestamp));
        publisher.write_message(tag.kind, tag.timestamp, tag.body.data(), tag.body.size())
            .or_throw();
    }
    std::cout << count << " messages" << std::endl;
    server.stop(2000).or_throw();
    return 0;
} catch (const std::exception &e) {
    std::cerr << "error: " << e.what() << std::endl;
    return 1;
}
