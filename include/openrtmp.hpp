// OpenRTMP for C++17: openrtmp.h with ownership. Header only; link libopenrtmp.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Handles are move-only and free themselves. Constructors throw openrtmp::Error;
// nothing else does: functions return a Result, which or_throw() turns into an
// exception where that is wanted. Callbacks are std::function, called as openrtmp.h
// says; one that lets an exception out ends the program (std::terminate).
//
// The destructors of Server and Tap wait, without limit, until the last callback has
// returned and what the functions hold is destroyed: they may refer to whatever outlives
// the object. A Server that is destroyed inside a callback of its own does not wait, and
// its functions are destroyed when that callback has returned; a Tap must not be destroyed
// there (std::terminate).
#ifndef OPENRTMP_HPP
#define OPENRTMP_HPP

#include "openrtmp.h"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
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
class [[nodiscard]] Result {
public:
    /// Of a code that a function of openrtmp.h has just returned on this thread.
    explicit Result(std::int32_t code) : code_(code) {
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
Result read_text(std::string &out, Write write) {
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
    return Result(code);
}

/// The same for one that writes bytes.
template <typename Write>
Result read_bytes(std::vector<std::uint8_t> &out, Write write) {
    std::size_t length = 0;
    std::int32_t code = write(nullptr, 0, &length);
    std::vector<std::uint8_t> buffer;
    if (code == OPENRTMP_OK) {
        buffer.resize(length);
        code = write(buffer.data(), buffer.size(), &length);
        if (code == OPENRTMP_OK) out = std::move(buffer);
    }
    return Result(code);
}

inline void collect_text(void *user_data, openrtmp_str text) noexcept {
    static_cast<std::vector<std::string> *>(user_data)->emplace_back(view(text));
}

template <typename Info>
void visit_with(void *user_data, const Info *info) noexcept {
    (*static_cast<std::function<void(const Info &)> *>(user_data))(*info);
}

/// Waits for the end of callbacks.
class Latch {
public:
    void open() noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        open_ = true;
        opened_.notify_all();
    }
    void wait() noexcept {
        std::unique_lock<std::mutex> lock(mutex_);
        while (!open_) opened_.wait(lock);
    }

private:
    std::mutex mutex_;
    std::condition_variable opened_;
    bool open_ = false;
};

/// What a library calls back, and the latch that opens when it is destroyed.
template <typename Functions>
struct Box {
    Functions functions;
    std::shared_ptr<Latch> ended = std::make_shared<Latch>();

    explicit Box(Functions given) : functions(std::move(given)) {}

    /// For on_closed: calls the last function, destroys all, and tells.
    static void close(void *user_data) noexcept {
        std::unique_ptr<Box> box(static_cast<Box *>(user_data));
        const std::shared_ptr<Latch> ended = box->ended;
        if (box->functions.on_closed) box->functions.on_closed();
        box.reset();
        ended->open();
    }
};

/// The box whose callback this thread is inside of.
inline const void *&inside() noexcept {
    thread_local const void *box = nullptr;
    return box;
}

/// Calls a function of a box, which is known as long.
template <typename Functions, typename Call>
void call(void *user_data, Call run) noexcept {
    const void *const before = std::exchange(inside(), user_data);
    run(static_cast<Box<Functions> *>(user_data)->functions);
    inside() = before;
}

struct FreeConfig {
    void operator()(openrtmp_config *config) const noexcept { openrtmp_config_free(config); }
};
struct FreeServer {
    std::shared_ptr<Latch> ended;
    const void *box = nullptr;
    void operator()(openrtmp_server *server) const noexcept {
        if (openrtmp_server_free(server) != OPENRTMP_OK) std::terminate();
        if (inside() != box) ended->wait();
    }
};
struct FreeTap {
    std::shared_ptr<Latch> ended;
    void operator()(openrtmp_tap *tap) const noexcept {
        const std::int32_t code = openrtmp_tap_free(tap);
        if (code != OPENRTMP_OK && code != OPENRTMP_ERROR_TIMEOUT) std::terminate();
        // One that calls nothing back has nothing to wait for.
        if (ended) ended->wait();
    }
};
struct CloseEvents {
    void operator()(openrtmp_events *events) const noexcept { openrtmp_events_close(events); }
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
        Result(openrtmp_config_new(profile, &config)).or_throw();
        handle_.reset(config);
    }
    Result load_text(std::string_view document, std::uint32_t format = OPENRTMP_FORMAT_JSON) {
        return Result(openrtmp_config_load_text(get(), str(document), format));
    }
    Result load_file(std::string_view path) {
        return Result(openrtmp_config_load_file(get(), str(path)));
    }
    Result set(std::string_view path, std::string_view value) {
        return Result(openrtmp_config_set(get(), str(path), str(value)));
    }
    Result get(std::string_view path, std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_config_get(get(), str(path), buffer, size, length);
        });
    }
    Result dump(std::string &out, std::uint32_t format = OPENRTMP_FORMAT_JSON) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_config_dump(get(), format, buffer, size, length);
        });
    }
    Result validate() const { return Result(openrtmp_config_validate(get())); }
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
    /// The host of a server on a phone is to do something.
    std::function<void(const openrtmp_order &)> on_order;
};

/// A server. Its destructor stops it by force.
class Server {
public:
    explicit Server(const Config &config, Callbacks callbacks = {}) {
        using Box = detail::Box<Callbacks>;
        auto box = std::make_unique<Box>(std::move(callbacks));
        openrtmp_callbacks table = OPENRTMP_CALLBACKS_INIT;
        table.user_data = box.get();
        if (box->functions.on_event) {
            table.on_event = [](void *user_data, const openrtmp_event *event) noexcept {
                detail::call<Callbacks>(user_data,
                                        [&](Callbacks &own) { own.on_event(*event); });
            };
        }
        if (box->functions.on_access) {
            table.on_access = [](void *user_data, const openrtmp_access_request *r) noexcept {
                detail::call<Callbacks>(user_data, [&](Callbacks &own) { own.on_access(*r); });
            };
        }
        if (box->functions.on_order) {
            table.on_order = [](void *user_data, const openrtmp_order *order) noexcept {
                detail::call<Callbacks>(user_data,
                                        [&](Callbacks &own) { own.on_order(*order); });
            };
        }
        table.on_closed = Box::close;
        const detail::FreeServer deleter{box->ended, box.get()};
        openrtmp_server *server = nullptr;
        Result(openrtmp_server_new(config.get(), &table, &server)).or_throw();
        static_cast<void>(box.release());  // on_closed deletes it
        handle_ = {server, deleter};
    }
    Result start() { return Result(openrtmp_server_start(get())); }
    Result stop(std::uint64_t grace_ms, openrtmp_summary *summary = nullptr) {
        return Result(openrtmp_server_stop(get(), grace_ms, summary));
    }
    /// Takes nobody new, asks peers that can to connect again at `to`, and stops when all
    /// have left, or after the grace.
    Result drain(std::uint64_t grace_ms, std::string_view to = {},
                 openrtmp_summary *summary = nullptr) {
        return Result(openrtmp_server_drain(get(), grace_ms, str(to), summary));
    }
    /// A copy of the settings in force.
    Result config(Config &out) const {
        openrtmp_config *config = nullptr;
        const Result status(openrtmp_server_config(get(), &config));
        if (status) out.handle_.reset(config);
        return status;
    }
    /// Other settings, all or none.
    Result reconfigure(const Config &config) {
        return Result(openrtmp_server_reconfigure(get(), config.get(), nullptr, nullptr));
    }
    /// The same; adds the paths of what changed.
    Result reconfigure(const Config &config, std::vector<std::string> &changed) {
        return Result(openrtmp_server_reconfigure(get(), config.get(), detail::collect_text,
                                                  &changed));
    }
    Result set_background(bool background) {
        return Result(openrtmp_server_set_background(get(), background ? 1 : 0));
    }
    /// The program of a phone goes to the background, for so long; UINT64_MAX: not known.
    Result host_background(std::uint64_t remaining_ms) {
        return Result(openrtmp_host_background(get(), remaining_ms));
    }
    Result host_remaining_time(std::uint64_t remaining_ms) {
        return Result(openrtmp_host_remaining_time(get(), remaining_ms));
    }
    /// It is about to be frozen.
    Result host_suspend(std::uint64_t within_ms = 700, openrtmp_suspend_report *report = nullptr) {
        return Result(openrtmp_host_suspend(get(), within_ms, report));
    }
    /// It is back.
    Result host_resume(std::uint64_t away_ms, openrtmp_resume_report *report = nullptr) {
        return Result(openrtmp_host_resume(get(), away_ms, report));
    }
    Result host_foreground() { return Result(openrtmp_host_foreground(get())); }
    /// All networks that the system says there are.
    Result host_network(const std::vector<openrtmp_network> &networks) {
        return Result(openrtmp_host_network(get(), networks.data(), networks.size()));
    }
    Result host_permission(std::uint32_t permission, std::uint32_t state) {
        return Result(openrtmp_host_permission(get(), permission, state));
    }
    Result host_power(bool low_power, bool device_idle, std::uint32_t thermal) {
        return Result(openrtmp_host_power(get(), low_power ? 1 : 0, device_idle ? 1 : 0, thermal));
    }
    Result host_memory(std::uint32_t level) { return Result(openrtmp_host_memory(get(), level)); }
    Result host_audio(bool active) { return Result(openrtmp_host_audio(get(), active ? 1 : 0)); }
    Result host_service(std::uint32_t state) { return Result(openrtmp_host_service(get(), state)); }
    Result check_listeners(openrtmp_resume_report *report = nullptr) {
        return Result(openrtmp_server_check_listeners(get(), report));
    }
    /// URLs by which others reach a stream, the best first.
    Result reachable(std::string_view stream,
                     std::function<void(const openrtmp_reachable_info &)> visit,
                     std::uint32_t flags = 0) const {
        return Result(openrtmp_server_reachable(
            get(), str(stream), flags, detail::visit_with<openrtmp_reachable_info>, &visit));
    }
    Result power_stats(openrtmp_power_stats &out) const {
        return Result(openrtmp_server_power_stats(get(), &out));
    }
    /// What names it in log records.
    std::uint64_t id() const {
        std::uint64_t id = 0;
        static_cast<void>(openrtmp_server_id(get(), &id));
        return id;
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
    Result address(std::uint32_t index, std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_server_address(get(), index, buffer, size, length);
        });
    }
    Result urls(std::string_view stream, std::vector<std::string> &out) const {
        return Result(openrtmp_server_urls(get(), str(stream), detail::collect_text, &out));
    }
    /// The port of an address of "http.listen", if this library delivers over HTTP.
    Result http_port(std::uint32_t index, std::uint32_t &out) const {
        return Result(openrtmp_server_http_port(get(), index, &out));
    }
    /// URLs of a form (OPENRTMP_FORM_*) of a stream; of none, the page of all.
    Result http_urls(std::string_view stream, std::uint32_t form,
                     std::vector<std::string> &out) const {
        return Result(openrtmp_server_http_urls(get(), str(stream), form, detail::collect_text,
                                                &out));
    }
    Result http_stats(openrtmp_http_stats &out) const {
        return Result(openrtmp_server_http_stats(get(), &out));
    }
    Result health(openrtmp_health &health, std::vector<std::string> &reasons) const {
        return Result(openrtmp_server_health(get(), &health, detail::collect_text, &reasons));
    }
    Result metrics(openrtmp_metrics &out) const {
        return Result(openrtmp_server_metrics(get(), &out));
    }
    Result metrics_json(std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_server_metrics_json(get(), buffer, size, length);
        });
    }
    /// The numbers as text for Prometheus.
    Result metrics_text(std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_server_metrics_text(get(), buffer, size, length);
        });
    }
    Result streams(std::function<void(const openrtmp_stream_info &)> visit) const {
        return Result(openrtmp_server_streams(
            get(), detail::visit_with<openrtmp_stream_info>, &visit));
    }
    /// The whole name of a stream, key included where it is one.
    Result stream_name(std::uint64_t stream_id, std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_server_stream_name(get(), stream_id, buffer, size, length);
        });
    }
    Result connections(std::function<void(const openrtmp_connection_info &)> visit) const {
        return Result(openrtmp_server_connections(
            get(), detail::visit_with<openrtmp_connection_info>, &visit));
    }
    Result subscribers(std::string_view stream,
                       std::function<void(const openrtmp_subscriber_info &)> visit) const {
        return Result(openrtmp_server_subscribers(
            get(), str(stream), detail::visit_with<openrtmp_subscriber_info>, &visit));
    }
    Result disconnect(std::uint64_t connection_id, std::string_view reason) {
        return Result(openrtmp_server_disconnect(get(), connection_id, str(reason)));
    }
    Result set_write_coalesce(std::uint64_t connection_id, std::uint32_t window_ms) {
        return Result(openrtmp_server_set_write_coalesce(get(), connection_id, window_ms));
    }
    Result end_stream(std::string_view stream, std::string_view reason) {
        return Result(openrtmp_server_end_stream(get(), str(stream), str(reason)));
    }
    Result end_stream(std::uint64_t stream_id, std::string_view reason) {
        return Result(openrtmp_server_end_stream_id(get(), stream_id, str(reason)));
    }
    /// Says that the name in a request is a key, before the answer.
    Result mark_secret(std::uint64_t request_id) {
        return Result(openrtmp_request_mark_secret(get(), request_id));
    }
    Result accept(std::uint64_t request_id) {
        return Result(openrtmp_request_accept(get(), request_id));
    }
    /// The same under another name, "app/name".
    Result accept_as(std::uint64_t request_id, std::string_view path) {
        return Result(openrtmp_request_accept_as(get(), request_id, str(path)));
    }
    /// Leaves it to the rules of the settings.
    Result pass(std::uint64_t request_id) {
        return Result(openrtmp_request_pass(get(), request_id));
    }
    /// Refuses it because it cannot be decided at the moment.
    Result fail(std::uint64_t request_id, std::string_view reason) {
        return Result(openrtmp_request_fail(get(), request_id, str(reason)));
    }
    Result reject(std::uint64_t request_id, std::string_view reason) {
        return Result(openrtmp_request_reject(get(), request_id, str(reason)));
    }
    Result add_key(std::uint32_t kind, std::string_view key) {
        return Result(openrtmp_key_add(get(), kind, str(key)));
    }
    Result revoke_key(std::uint32_t kind, std::string_view key) {
        return Result(openrtmp_key_revoke(get(), kind, str(key)));
    }
    Result keys(std::uint32_t kind, std::vector<std::string> &out) const {
        return Result(openrtmp_key_list(get(), kind, detail::collect_text, &out));
    }
    /// A certificate with its chain, and its key, as PEM text.
    Result set_certificate(std::string_view chain, std::string_view key) {
        return Result(openrtmp_tls_set_certificate(get(), str(chain), str(key)));
    }
    /// What is shown to the authority that asks whether a name leads here (TLS-ALPN-01).
    Result set_challenge(std::string_view name, std::string_view chain, std::string_view key) {
        return Result(openrtmp_tls_set_challenge(get(), str(name), str(chain), str(key)));
    }
    /// Reads the files of certificates again.
    Result reload_certificates() { return Result(openrtmp_tls_reload(get())); }
    /// The pin of the certificate's key.
    Result certificate_pin(std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
            return openrtmp_tls_pin(get(), buffer, size, length);
        });
    }
    Result start_recording(std::string_view stream, std::string_view directory) {
        return Result(openrtmp_record_start(get(), str(stream), str(directory)));
    }
    Result recordings(std::vector<std::string> &out) const {
        return Result(openrtmp_record_list(get(), detail::collect_text, &out));
    }
    Result add_relay(const openrtmp_relay &relay, std::uint64_t &id) {
        return Result(openrtmp_relay_add(get(), &relay, &id));
    }
    Result remove_relay(std::uint64_t id) { return Result(openrtmp_relay_remove(get(), id)); }
    Result relays(std::function<void(const openrtmp_relay_info &)> visit) const {
        return Result(
            openrtmp_relay_list(get(), detail::visit_with<openrtmp_relay_info>, &visit));
    }
    Result taps(std::function<void(const openrtmp_tap_info &)> visit) const {
        return Result(openrtmp_tap_list(get(), detail::visit_with<openrtmp_tap_info>, &visit));
    }
    Result publishers(std::function<void(const openrtmp_publisher_info &)> visit) const {
        return Result(openrtmp_publisher_list(
            get(), detail::visit_with<openrtmp_publisher_info>, &visit));
    }
    Result stop_recording(std::string_view stream, openrtmp_recording *made = nullptr) {
        return Result(openrtmp_record_stop(get(), str(stream), made));
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
        using Box = detail::Box<TapCallbacks>;
        auto box = std::make_unique<Box>(std::move(callbacks));
        openrtmp_tap_callbacks table = OPENRTMP_TAP_CALLBACKS_INIT;
        table.user_data = box.get();
        if (box->functions.on_frame) {
            table.on_frame = [](void *user_data, const openrtmp_frame *frame) noexcept {
                static_cast<Box *>(user_data)->functions.on_frame(*frame);
            };
        }
        if (box->functions.on_started) {
            table.on_started = [](void *user_data, std::uint64_t id, openrtmp_str s) noexcept {
                static_cast<Box *>(user_data)->functions.on_started(id, view(s));
            };
        }
        if (box->functions.on_ended) {
            table.on_ended = [](void *user_data, std::uint64_t id, openrtmp_str s) noexcept {
                static_cast<Box *>(user_data)->functions.on_ended(id, view(s));
            };
        }
        if (box->functions.on_republished) {
            table.on_republished = [](void *user_data, std::uint64_t id,
                                      openrtmp_str s) noexcept {
                static_cast<Box *>(user_data)->functions.on_republished(id, view(s));
            };
        }
        if (box->functions.on_lost) {
            table.on_lost = [](void *user_data, std::uint64_t id, openrtmp_str s,
                               const openrtmp_loss *loss) noexcept {
                static_cast<Box *>(user_data)->functions.on_lost(id, view(s), *loss);
            };
        }
        table.on_closed = Box::close;
        const detail::FreeTap deleter{box->ended};
        openrtmp_tap *tap = nullptr;
        Result(openrtmp_tap_open(server.get(), str(stream), &table, &tap)).or_throw();
        static_cast<void>(box.release());  // on_closed deletes it
        handle_ = {tap, deleter};
    }
    /// One without callbacks, which next() fetches from.
    Tap(Server &server, std::string_view stream) {
        openrtmp_tap *tap = nullptr;
        Result(openrtmp_tap_open(server.get(), str(stream), nullptr, &tap)).or_throw();
        handle_.reset(tap);
    }
    /// What comes next; its pointers lead somewhere until the next call.
    Result next(std::uint32_t timeout_ms, openrtmp_tap_item &out) {
        return Result(openrtmp_tap_next(handle_.get(), timeout_ms, &out));
    }
    Result descriptor(std::ptrdiff_t &out) {
        return Result(openrtmp_tap_descriptor(handle_.get(), &out));
    }

private:
    std::unique_ptr<openrtmp_tap, detail::FreeTap> handle_;
};

/// A queue of a server's events, to fetch them from; opened before the server starts.
class Events {
public:
    explicit Events(Server &server) {
        openrtmp_events *events = nullptr;
        Result(openrtmp_events_open(server.get(), &events)).or_throw();
        handle_.reset(events);
    }
    /// The next event, which is there until the next call.
    Result next(std::uint32_t timeout_ms, const openrtmp_event *&out) {
        return Result(openrtmp_events_next(handle_.get(), timeout_ms, &out));
    }
    Result descriptor(std::ptrdiff_t &out) {
        return Result(openrtmp_events_descriptor(handle_.get(), &out));
    }

private:
    std::unique_ptr<openrtmp_events, detail::CloseEvents> handle_;
};

/// Publishes a stream; its destructor ends it.
class Publisher {
public:
    Publisher(Server &server, std::string_view stream) {
        openrtmp_publisher *publisher = nullptr;
        Result(openrtmp_publisher_open(server.get(), str(stream), &publisher)).or_throw();
        handle_.reset(publisher);
    }
    Result configure(const openrtmp_track &track) {
        return Result(openrtmp_publisher_configure(handle_.get(), &track));
    }
    Result write(const openrtmp_media &media) {
        return Result(openrtmp_publisher_write(handle_.get(), &media));
    }
    /// A buffer to fill and hand to write() as payload, which then copies nothing.
    Result lend(std::size_t capacity, std::uint8_t *&out) {
        return Result(openrtmp_publisher_lend(handle_.get(), capacity, &out));
    }
    Result write_message(std::uint32_t kind, std::uint32_t timestamp_ms,
                         const std::uint8_t *body, std::size_t length) {
        return Result(openrtmp_publisher_write_message(handle_.get(), kind, timestamp_ms, body,
                                                       length));
    }

private:
    std::unique_ptr<openrtmp_publisher, detail::FreePublisher> handle_;
};

namespace detail {

/// Sets a function as log callback by `set`.
template <typename Set>
Result log_to(std::uint32_t max_level,
              std::function<void(const openrtmp_log_record &)> on_record, Set set) {
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
    const Result result(set(&table));
    // After a time-out it is in place too. on_closed deletes it.
    if (result || result.code() == OPENRTMP_ERROR_TIMEOUT) static_cast<void>(box.release());
    return result;
}

}  // namespace detail

/// Sends log records (OPENRTMP_LOG_*, up to max_level) of the whole process to a
/// function, in place of the one before; on_record must not be empty.
inline Result set_log(std::uint32_t max_level,
                      std::function<void(const openrtmp_log_record &)> on_record) {
    return detail::log_to(max_level, std::move(on_record), openrtmp_log_set);
}

/// The same of one server, besides.
inline Result set_log(Server &server, std::uint32_t max_level,
                      std::function<void(const openrtmp_log_record &)> on_record) {
    return detail::log_to(max_level, std::move(on_record),
                          [&](const openrtmp_log_callbacks *table) {
                              return openrtmp_server_log_set(server.get(), table);
                          });
}

/// Calls a hook first, and one last, on each thread of the library from now on.
inline Result set_thread_hooks(const openrtmp_thread_hooks_table &hooks) {
    return Result(openrtmp_thread_hooks(&hooks));
}

/// Sends them to nobody.
inline Result clear_log() { return Result(openrtmp_log_set(nullptr)); }

/// Sends them to the system's log (os_log, Logcat) as well, up to a level; 0: not any more.
inline Result log_to_system(std::uint32_t max_level) {
    return Result(openrtmp_log_to_system(max_level));
}

/// A frame with start codes in place of lengths of so many bytes.
inline Result annex_b_of_frame(const std::uint8_t *frame, std::size_t size,
                               std::uint32_t length_size, std::vector<std::uint8_t> &out) {
    return detail::read_bytes(
        out, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
            return openrtmp_annex_b_of_frame(frame, size, length_size, buffer, capacity, length);
        });
}

/// A frame with lengths of 4 bytes in place of start codes.
inline Result annex_b_to_frame(const std::uint8_t *stream, std::size_t size,
                               std::vector<std::uint8_t> &out) {
    return detail::read_bytes(
        out, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
            return openrtmp_annex_b_to_frame(stream, size, buffer, capacity, length);
        });
}

/// A decoder configuration, whose bytes are another's, and of which media it is.
class DecoderConfig {
public:
    DecoderConfig(std::uint32_t kind, std::uint32_t codec, const std::uint8_t *data,
                  std::size_t size)
        : kind_(kind), codec_(codec), data_(data), size_(size) {}
    Result format(openrtmp_media_format &out) const {
        return Result(openrtmp_decoder_config_format(kind_, codec_, data_, size_, &out));
    }
    /// As RFC 6381 has it.
    Result codec_string(std::string &out) const {
        return detail::read_text(out, [&](char *buffer, std::size_t room, std::size_t *length) {
            return openrtmp_decoder_config_codec_string(kind_, codec_, data_, size_, buffer, room,
                                                        length);
        });
    }
    /// csd-0 and so on; OPENRTMP_ERROR_NOT_FOUND beyond the last.
    Result part(std::size_t index, std::vector<std::uint8_t> &out) const {
        return detail::read_bytes(
            out, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
                return openrtmp_decoder_config_part(kind_, codec_, data_, size_, index, buffer,
                                                    capacity, length);
            });
    }
    /// One for parameter sets with start codes, of H.264 or H.265.
    static Result of_sets(std::uint32_t codec, const std::uint8_t *sets, std::size_t size,
                          std::vector<std::uint8_t> &out) {
        return detail::read_bytes(
            out, [&](std::uint8_t *buffer, std::size_t capacity, std::size_t *length) {
                return openrtmp_decoder_config_of_sets(codec, sets, size, buffer, capacity,
                                                       length);
            });
    }

private:
    std::uint32_t kind_, codec_;
    const std::uint8_t *data_;
    std::size_t size_;
};

/// A new key of 128 random bits.
inline Result generate_key(std::string &out) {
    return detail::read_text(out, openrtmp_key_generate);
}

/// A token for a viewer of a stream, signed with a secret of "http.tokens.keys", good until so
/// many seconds since 1970; flags are OPENRTMP_TOKEN_*. It needs no server.
inline Result http_token(std::string_view secret, std::string_view stream, std::uint32_t flags,
                         std::uint64_t expires, std::string_view address, std::string &out) {
    return detail::read_text(out, [&](char *buffer, std::size_t size, std::size_t *length) {
        return openrtmp_http_token(str(secret), str(stream), flags, expires, str(address), buffer,
                                   size, length);
    });
}

}  // namespace openrtmp

#endif  // OPENRTMP_HPP
