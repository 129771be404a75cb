// An RTMP server in C++: server [ADDRESS:PORT]; Enter, or the end of input, stops it.
#include <openrtmp.hpp>

#include <atomic>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char **argv) try {
    if (!openrtmp::abi_matches()) throw std::runtime_error("another libopenrtmp is loaded");

    openrtmp::Config config;
    if (argc > 1) config.set("listen", argv[1]).or_throw();

    std::atomic<openrtmp::Server *> self{nullptr};
    openrtmp::Callbacks callbacks;
    // On a thread of its own: take your time, the server does not wait.
    callbacks.on_event = [](const openrtmp_event &event) {
        std::cout << openrtmp::view(event.json) << std::endl;
    };
    // Answer here or later, from any thread. Publishing is for the app "live".
    callbacks.on_access = [&self](const openrtmp_access_request &request) {
        openrtmp::Server *server = self.load();
        if (server == nullptr) return;
        const bool publish = request.action == OPENRTMP_ACCESS_PUBLISH;
        const auto status = publish && openrtmp::view(request.app) != "live"
                                ? server->reject(request.request_id, "use the app live")
                                : server->accept(request.request_id);
        if (!status) std::cerr << status.message() << std::endl;
    };

    openrtmp::Server server(config, std::move(callbacks));
    self = &server;
    server.start().or_throw();
    std::vector<std::string> urls;
    server.urls("live/cam", urls).or_throw();
    for (const std::string &url : urls) std::cout << "publish to " << url << std::endl;

    std::cin.get();
    openrtmp_summary summary = OPENRTMP_SUMMARY_INIT;
    server.stop(2000, &summary).or_throw();
    std::cout << "accepted " << summary.accepted << " connections" << std::endl;
    return 0;
} catch (const std::exception &e) {
    std::cerr << "error: " << e.what() << std::endl;
    return 1;
}
