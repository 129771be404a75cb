// OpenRTMP for C++17: openrtmp.h with ownership. Header only; link libopenrtmp.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Handles are move-only and free themselves. Constructors throw openrtmp::Error;
// nothing else does: functions return a Status, which or_throw() turns into an
// exception where that is wanted. Callbacks are std::function, called as openrtmp.h
// says; one that lets an exception out ends the program (std::terminate). A Server,
// or a Tap, must not be destroyed inside a callback of its own.
#ifndef OPENRTMP_HPP
#define OPENRTMP_HPP

#include "openrtmp.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace openrtmp {

/// A failure: the code and its text.
class Error : public std::runtime_error {
public:
    Error(std::int32_t code, const std::string &message)
        : std::runtime_error(message), code_(code) {}
    std::int32_t code() const noexcept { return code_; }

private:
    std::int32_t code_;
};

/// How a call went.
class [[nodiscard]] Status {
public:
    /// Of a code that a function of openrtmp.h has just returned on this thread.
    explicit Status(std::int32_t code) : code_(code) {
        if (code != OPENRTMP_OK) {
            message_ = openrtmp_strerror(code);
            const std::string detail = openrtmp_last_error_message();
            if (!detail.empty()) message_ += ": " + detail;
        }
    }
    explicit operator bool() const noexcept { return code_ == OPENRTMP_OK; }
    std::int32_t code() const noexcept { return code_; }
    const std::string &message() const noexcept { return message_; }
    void or_throw() const {
        if (code_ != OPENRTMP_OK) throw Error(code_, message_);
    }

private:
    std::int32_t code_;
    std::string message_;
};

inline openrtmp_str str(std::string_view text) noexcept {
    return openrtmp_str{text.data(), text.size()};
}

inline std::string_view view(openrtmp_str text) noexcept {
    return text.length != 0 ? std::string_view(text.data, text.length) : std::string_view();
}

namespace detail {

/// Calls a function that writes text until its buffer is large enough.
template <typename Write>
Status read_text(std::string &out, Write write) {
    std::size_t length = 0;
    std::int32_t code = write(nullptr, 0, &length);
    std::string buffer;
    while (code == OPENRTMP_OK || code == OPENRTMP_ERROR_BUFFER_TOO_SMALL) {
        // Room to spare: what is told may grow between two calls.
        buffer.resize(length + length / 4 + 64);
        code = write(buffer.data(), buffer.size(), &length);
        if (code == OPENRTMP_OK) {
            buffer.resize(length);
            out = std::move(buffer);
            break;
        }
    }
    return Status(code);
}

inline void collect_text(void *user_data, openrtmp_str text) noexcept {
    static_cast<std::vector<std::string> *>(user_data)->emplace_back(view(text));
}

template <typename Info>
void visit_with(void *user_data, const Info *info) noexcept {
    (*static_cast<std::function<void(const Info &)> *>(user_data))(*info);
}

struct FreeConfig {
    void operator()(openrtmp_config *config) const noexcept { openrtmp_config_free(config); }
};
struct FreeServer {
    void operator()(openrtmp_server *server) const noexcept {
        if (openrtmp_server_free(server) != OPENRTMP_OK) std::terminate();
    }
};
struct FreeTap {
    void operator()(openrtmp_tap *tap) const noexcept {
        if (openrtmp_tap_free(tap) != OPENRTMP_OK) std::terminate();
    }
};
struct FreePublisher {
    void operator()(openrtmp_publisher *publisher) const noexcept {
        openrtmp_publisher_free(publisher);
    }
};

}  // namespace detail

/// True if the library that is loaded speaks this header's binary interface.
inline bool abi_matches() noexcept { return openrtmp_abi_version() == OPENRTMP_ABI_VERSION; }

/// OPENRTMP_VERSION of the library that is loaded, and the same as text.
inline std::uint32_t version() noexcept { return openrtmp_version(); }
inline std::string_view version_text() noexcept { return openrtmp_version_string(); }

/// Settings.
class Config {
public:
    explicit Config(std::uint32_t profile = OPENRTMP_PROFILE_DESKTOP) {
        openrtmp_config *config = nullptr;
        Status(openrtmp_config_new(profile, &config)).or_throw();
        handle_.reset(config);
    }
    Status load_text(std::string_view document, std::uint32_t format = OPENRTMP_FORMAT_JSON) {
        return Status(openrtmp_config_load_text(get(), str(document), format));
    }
    Status load_file(std::string_view path) {
        return Status(openrtmp_config_load_file(get(), str(path)));
    }
    Status set(std::string_view path, std::string_view value) {
        return Status(openrtmp_config_set(get(), str(path), str(value)));
    }
    Status get(std::string_view path, std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_config_get(get(), str(path), buffer, size, length);
        });
    }
    Status dump(std::string &out, std::uint32_t format = OPENRTMP_FORMAT_JSON) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_config_dump(get(), format, buffer, size, length);
        });
    }
    Status validate() const { return Status(openrtmp_config_validate(get())); }
    openrtmp_config *get() const noexcept { return handle_.get(); }

private:
    friend class Server;
    std::unique_ptr<openrtmp_config, detail::FreeConfig> handle_;
};

/// What a server calls back. Each may be empty.
struct Callbacks {
    std::function<void(const openrtmp_event &)> on_event;
    std::function<void(const openrtmp_access_request &)> on_access;
    std::function<void()> on_closed;
};

/// A server. Its destructor stops it by force.
class Server {
public:
    explicit Server(const Config &config, Callbacks callbacks = {}) {
        auto box = std::make_unique<Callbacks>(std::move(callbacks));
        openrtmp_callbacks table = OPENRTMP_CALLBACKS_INIT;
        table.user_data = box.get();
        if (box->on_event) {
            table.on_event = [](void *user_data, const openrtmp_event *event) noexcept {
                static_cast<Callbacks *>(user_data)->on_event(*event);
            };
        }
        if (box->on_access) {
            table.on_access = [](void *user_data, const openrtmp_access_request *r) noexcept {
                static_cast<Callbacks *>(user_data)->on_access(*r);
            };
        }
        table.on_closed = [](void *user_data) noexcept {
            const std::unique_ptr<Callbacks> last(static_cast<Callbacks *>(user_data));
            if (last->on_closed) last->on_closed();
        };
        openrtmp_server *server = nullptr;
        Status(openrtmp_server_new(config.get(), &table, &server)).or_throw();
        box.release();  // on_closed deletes it
        handle_.reset(server);
    }
    Status start() { return Status(openrtmp_server_start(get())); }
    Status stop(std::uint64_t grace_ms, openrtmp_summary *summary = nullptr) {
        return Status(openrtmp_server_stop(get(), grace_ms, summary));
    }
    /// A copy of the settings in force.
    Status config(Config &out) const {
        openrtmp_config *config = nullptr;
        const Status status(openrtmp_server_config(get(), &config));
        if (status) out.handle_.reset(config);
        return status;
    }
    /// Other settings, all or none.
    Status reconfigure(const Config &config) {
        return Status(openrtmp_server_reconfigure(get(), config.get(), nullptr, nullptr));
    }
    /// The same; adds the paths of what changed.
    Status reconfigure(const Config &config, std::vector<std::string> &changed) {
        return Status(openrtmp_server_reconfigure(get(), config.get(), detail::collect_text,
                                                  &changed));
    }
    Status set_background(bool background) {
        return Status(openrtmp_server_set_background(get(), background ? 1 : 0));
    }
    std::uint32_t state() const {
        std::uint32_t state = OPENRTMP_STATE_STOPPED;
        static_cast<void>(openrtmp_server_state(get(), &state));
        return state;
    }
    /// The port of an address of "listen"; 0 while it is not running.
    std::uint32_t port(std::uint32_t index = 0) const {
        std::uint32_t port = 0;
        static_cast<void>(openrtmp_server_port(get(), index, &port));
        return port;
    }
    /// Address and port at an index of "listen".
    Status address(std::uint32_t index, std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_server_address(get(), index, buffer, size, length);
        });
    }
    Status urls(std::string_view stream, std::vector<std::string> &out) const {
        return Status(openrtmp_server_urls(get(), str(stream), detail::collect_text, &out));
    }
    Status health(openrtmp_health &health, std::vector<std::string> &reasons) const {
        return Status(openrtmp_server_health(get(), &health, detail::collect_text, &reasons));
    }
    Status metrics(openrtmp_metrics &out) const {
        return Status(openrtmp_server_metrics(get(), &out));
    }
    Status metrics_json(std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_server_metrics_json(get(), buffer, size, length);
        });
    }
    Status streams(std::function<void(const openrtmp_stream_info &)> visit) const {
        return Status(openrtmp_server_streams(
            get(), detail::visit_with<openrtmp_stream_info>, &visit));
    }
    /// The whole name of a stream, key included where it is one.
    Status stream_name(std::uint64_t stream_id, std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_server_stream_name(get(), stream_id, buffer, size, length);
        });
    }
    Status connections(std::function<void(const openrtmp_connection_info &)> visit) const {
        return Status(openrtmp_server_connections(
            get(), detail::visit_with<openrtmp_connection_info>, &visit));
    }
    Status subscribers(std::string_view stream,
                       std::function<void(const openrtmp_subscriber_info &)> visit) const {
        return Status(openrtmp_server_subscribers(
            get(), str(stream), detail::visit_with<openrtmp_subscriber_info>, &visit));
    }
    Status disconnect(std::uint64_t connection_id, std::string_view reason) {
        return Status(openrtmp_server_disconnect(get(), connection_id, str(reason)));
    }
    Status set_write_coalesce(std::uint64_t connection_id, std::uint32_t window_ms) {
        return Status(openrtmp_server_set_write_coalesce(get(), connection_id, window_ms));
    }
    Status end_stream(std::string_view stream, std::string_view reason) {
        return Status(openrtmp_server_end_stream(get(), str(stream), str(reason)));
    }
    Status end_stream(std::uint64_t stream_id, std::string_view reason) {
        return Status(openrtmp_server_end_stream_id(get(), stream_id, str(reason)));
    }
    /// Says that the name in a request is a key, before the answer.
    Status mark_secret(std::uint64_t request_id) {
        return Status(openrtmp_request_mark_secret(get(), request_id));
    }
    Status accept(std::uint64_t request_id) {
        return Status(openrtmp_request_accept(get(), request_id));
    }
    Status reject(std::uint64_t request_id, std::string_view reason) {
        return Status(openrtmp_request_reject(get(), request_id, str(reason)));
    }
    Status add_key(std::uint32_t kind, std::string_view key) {
        return Status(openrtmp_key_add(get(), kind, str(key)));
    }
    Status revoke_key(std::uint32_t kind, std::string_view key) {
        return Status(openrtmp_key_revoke(get(), kind, str(key)));
    }
    Status keys(std::uint32_t kind, std::vector<std::string> &out) const {
        return Status(openrtmp_key_list(get(), kind, detail::collect_text, &out));
    }
    Status start_recording(std::string_view stream, std::string_view directory) {
        return Status(openrtmp_record_start(get(), str(stream), str(directory)));
    }
    Status stop_recording(std::string_view stream) {
        return Status(openrtmp_record_stop(get(), str(stream)));
    }
    openrtmp_server *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<openrtmp_server, detail::FreeServer> handle_;
};

/// A frame kept beyond its callback; copies share it.
class Frame {
public:
    explicit Frame(const openrtmp_frame &frame) noexcept
        : frame_(openrtmp_frame_retain(&frame), openrtmp_frame_release) {}
    const openrtmp_frame &operator*() const noexcept { return *frame_; }
    const openrtmp_frame *operator->() const noexcept { return frame_.get(); }

private:
    std::shared_ptr<const openrtmp_frame> frame_;
};

/// What a tap calls back. on_frame must not be empty.
struct TapCallbacks {
    std::function<void(const openrtmp_frame &)> on_frame;
    std::function<void(std::uint64_t stream_id, std::string_view stream)> on_started;
    std::function<void(std::uint64_t stream_id, std::string_view stream)> on_ended;
    std::function<void()> on_closed;
    std::function<void(std::uint64_t stream_id, std::string_view stream)> on_republished;
    std::function<void(std::uint64_t stream_id, std::string_view stream,
                       const openrtmp_loss &loss)>
        on_lost;
};

/// The frames of one stream, or, with an empty name, of all.
class Tap {
public:
    Tap(Server &server, std::string_view stream, TapCallbacks callbacks) {
        auto box = std::make_unique<TapCallbacks>(std::move(callbacks));
        openrtmp_tap_callbacks table = OPENRTMP_TAP_CALLBACKS_INIT;
        table.user_data = box.get();
        if (box->on_frame) {
            table.on_frame = [](void *user_data, const openrtmp_frame *frame) noexcept {
                static_cast<TapCallbacks *>(user_data)->on_frame(*frame);
            };
        }
        if (box->on_started) {
            table.on_started = [](void *user_data, std::uint64_t id, openrtmp_str s) noexcept {
                static_cast<TapCallbacks *>(user_data)->on_started(id, view(s));
            };
        }
        if (box->on_ended) {
            table.on_ended = [](void *user_data, std::uint64_t id, openrtmp_str s) noexcept {
                static_cast<TapCallbacks *>(user_data)->on_ended(id, view(s));
            };
        }
        if (box->on_republished) {
            table.on_republished = [](void *user_data, std::uint64_t id,
                                      openrtmp_str s) noexcept {
                static_cast<TapCallbacks *>(user_data)->on_republished(id, view(s));
            };
        }
        if (box->on_lost) {
            table.on_lost = [](void *user_data, std::uint64_t id, openrtmp_str s,
                               const openrtmp_loss *loss) noexcept {
                static_cast<TapCallbacks *>(user_data)->on_lost(id, view(s), *loss);
            };
        }
        table.on_closed = [](void *user_data) noexcept {
            const std::unique_ptr<TapCallbacks> last(static_cast<TapCallbacks *>(user_data));
            if (last->on_closed) last->on_closed();
        };
        openrtmp_tap *tap = nullptr;
        Status(openrtmp_tap_open(server.get(), str(stream), &table, &tap)).or_throw();
        box.release();  // on_closed deletes it
        handle_.reset(tap);
    }

private:
    std::unique_ptr<openrtmp_tap, detail::FreeTap> handle_;
};

/// Publishes a stream; its destructor ends it.
class Publisher {
public:
    Publisher(Server &server, std::string_view stream) {
        openrtmp_publisher *publisher = nullptr;
        Status(openrtmp_publisher_open(server.get(), str(stream), &publisher)).or_throw();
        handle_.reset(publisher);
    }
    Status configure(const openrtmp_track &track) {
        return Status(openrtmp_publisher_configure(handle_.get(), &track));
    }
    Status write(const openrtmp_media &media) {
        return Status(openrtmp_publisher_write(handle_.get(), &media));
    }
    Status write_message(std::uint32_t kind, std::uint32_t timestamp_ms,
                         const std::uint8_t *body, std::size_t length) {
        return Status(openrtmp_publisher_write_message(handle_.get(), kind, timestamp_ms, body,
                                                       length));
    }

private:
    std::unique_ptr<openrtmp_publisher, detail::FreePublisher> handle_;
};

/// Sends log records (OPENRTMP_LOG_*, up to max_level) of the whole process to a
/// function, in place of the one before; on_record must not be empty.
inline Status set_log(std::uint32_t max_level,
                      std::function<void(const openrtmp_log_record &)> on_record) {
    using Log = std::function<void(const openrtmp_log_record &)>;
    auto box = std::make_unique<Log>(std::move(on_record));
    openrtmp_log_callbacks table = OPENRTMP_LOG_CALLBACKS_INIT;
    table.max_level = max_level;
    table.user_data = box.get();
    if (*box) {
        table.on_record = [](void *user_data, const openrtmp_log_record *record) noexcept {
            (*static_cast<Log *>(user_data))(*record);
        };
    }
    table.on_closed = [](void *user_data) noexcept { delete static_cast<Log *>(user_data); };
    const Status status(openrtmp_log_set(&table));
    if (status) box.release();  // on_closed deletes it
    return status;
}

/// Sends them to nobody.
inline Status clear_log() { return Status(openrtmp_log_set(nullptr)); }

/// A new key of 128 random bits.
inline Status generate_key(std::string &out) {
    return detail::read_text(out, openrtmp_key_generate);
}

}  // namespace openrtmp

#endif  // OPENRTMP_HPP
