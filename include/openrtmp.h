// OpenRTMP: an RTMP server inside your program. The C interface.
//
// Made from the sources of crates/openrtmp-capi; do not edit.
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// RESULTS. A function that can fail returns 0 (OPENRTMP_OK) or a negative
// OPENRTMP_ERROR_*; openrtmp_strerror() names it, and openrtmp_last_error_message()
// tells the detail of the last failure on this thread, always in the same place. After a
// failure outputs are as they were, unless a function says otherwise. No call aborts the
// program for a wrong argument that can be seen to be wrong (NULL, bad UTF-8, unknown
// values, lengths that nothing has), nor for a copy that memory has no room for.
//
// HANDLES. openrtmp_config, openrtmp_server, openrtmp_events, openrtmp_tap and
// openrtmp_publisher are opaque; what _new and _open give, _free or _close takes, exactly
// once; NULL does nothing there. Connections, streams and servers are 64-bit ids below
// 2^53, never used twice in a process: a stale id is OPENRTMP_ERROR_NOT_FOUND.
//
// THREADS. Every function may be called from any thread, and from several at once, but
// for a config, which belongs to one thread at a time, and openrtmp_events_next() and
// openrtmp_tap_next(). _free must be the last use of a handle anywhere.
//
// OWNERSHIP. What a function is given (texts, structs, tables, payloads) it copies: it
// has to live as long as the call, and user_data until on_closed. What a callback or a
// visitor is given lives as long as that call, what was fetched until the next is, frames
// that were retained until they are released.
//
// WAITING. No function waits without end. openrtmp_server_stop() and openrtmp_server_drain()
// return 1 s after the grace they are told at the latest, openrtmp_server_free() after 1 s
// (half a second later, all three, if streams are delivered over HTTP, and up to 5 s more while
// the disk of "http.dvr.directory" removes files), openrtmp_server_start() when the system has
// done its part. _streams, _connections, _subscribers, _metrics, _metrics_json, _metrics_text,
// _health, _disconnect and _set_write_coalesce ask the worker threads, and wait at most 1 s for
// one that is busy, _reconfigure besides up to 5 s for a recording that it ends, as
// openrtmp_record_stop() does. openrtmp_tap_free(), openrtmp_log_set() and
// openrtmp_server_log_set() wait up to 1 s for a callback that is running,
// openrtmp_host_suspend() as long as it is told to and 10 s at most, openrtmp_host_resume()
// at most 2 s, openrtmp_server_check_listeners() and _power_stats 1 s, _events_next
// and _tap_next as long as they are told to. All others return at once.
//
// CALLBACKS. Each callback is called by one thread of its own, never by two at once, and
// never by the threads that move media: it may take its time. Different callbacks may run
// at once: on_event and on_access of one server, too. Each may call every function but
// those that would wait for the callback itself: openrtmp_server_stop() and
// openrtmp_server_drain() of its server, openrtmp_tap_free() of its tap, openrtmp_log_set()
// in a log callback, which return OPENRTMP_ERROR_RECURSIVE. openrtmp_server_free() may be called in any callback but
// on_closed. It must not unwind (no C++ exception, no longjmp). After openrtmp_server_free()
// has returned no callback of that server begins but on_closed, which is the last of all
// and comes on a thread that calls nothing else; user_data may be freed then. Functions
// that visit call back on the thread that called them, before they return; inside a visit
// every function may be called.
//
// LIBRARY THREADS have stacks of 2 MiB, which callbacks have to do with, and take no signal
// of the program's but those that a thread raises itself (SIGSEGV and the like).
// openrtmp_thread_hooks() tells where each begins and ends.
//
// FORK. A child of fork() has the handles of its parent, but not the threads behind them:
// there every call on one is OPENRTMP_ERROR_STATE at once, and frees nothing. It may make
// servers of its own. exec() leaves nothing open in the new program.
//
// STANDARD STREAMS are never written to or read, nor are signals handled.
//
// EVENTS are told in the order in which they happened to a connection, and to a stream. A
// call that changes something may return before its event is told, and after it. Whoever
// falls behind loses some, and is told with OPENRTMP_EVENT_LOST where they are missing.
// To catch up, list streams, connections and players: what an event before the call told
// of is in the list, or over. Then go on with the events that follow: a beginning of what
// the list has already, and an end of what it has not, change nothing.
//
// HTTP. A library built with the feature `live` delivers streams to browsers and players (HLS,
// DASH, FLV), at the addresses that "http.listen" names, from openrtmp_server_start() on until
// the server is stopped; openrtmp_server_http_urls() tells where. Who may play is decided as
// for RTMP. In a library without it an address there is OPENRTMP_ERROR_UNSUPPORTED when the
// settings are checked or a server is started. "auto", the default, delivers in no library:
// it opens no port that nobody asked it for.
//
// STREAMS have paths: "app/name", with further segments if a peer asks for them. Slashes at
// the ends and doubled ones do not count, nor do a query and the prefixes and endings that
// some players add ("mp4:", ".flv"); %41 stands for A. A path that is empty names nothing.
// A stream's clock goes on through publishers that follow one another, and where one's
// timestamps jump back: they are moved so that time does not. What
// openrtmp_publisher_write() is given is passed on at once, whatever its time: the host
// sets the pace. The payload of a frame with OPENRTMP_FRAME_CONFIG is a
// decoder configuration: AVCDecoderConfigurationRecord, HEVCDecoderConfigurationRecord,
// AudioSpecificConfig and so on, as in MP4.
//
// TEXT. openrtmp_str is UTF-8 by pointer and length, at most 1 MiB; OPENRTMP_STR() makes one
// from a string of C. Given to a callback, it lives as long as the call, and its pointer is
// not NULL. Functions that write text take a buffer and its capacity, end the text with NUL,
// and always tell its length without the NUL: with OPENRTMP_ERROR_BUFFER_TOO_SMALL nothing
// but the length is written. A NULL buffer with capacity 0 asks for the length.
//
// NULL may be given where OPENRTMP_NULLABLE stands; nowhere else.
//
// STRUCTS that you fill, or have filled, begin with struct_size; the _INIT macros set it. A
// struct from an older header is understood; one from a newer header is refused if it asks
// for something unknown (OPENRTMP_ERROR_STRUCT_SIZE). What is filled says in struct_size how
// much of it was. Members named reserved are 0, and must be where you fill them.
//
// UNITS. Bytes, milliseconds (_ms), microseconds (_us), bit/s.
//
// CHANGES of the binary interface:
//   2  New: openrtmp_host_background() and its kin, openrtmp_callbacks.on_order,
//      openrtmp_server_check_listeners(), openrtmp_server_reachable(),
//      openrtmp_server_power_stats(), OPENRTMP_EVENT_BACKGROUND to _LISTENER_RESTORED,
//      OPENRTMP_CLOSE_SUSPENDED and _SOCKET_LOST;
//      openrtmp_events_open() and its kin, openrtmp_tap_next() and
//      openrtmp_tap_descriptor(), openrtmp_publisher_lend(), openrtmp_server_id(),
//      openrtmp_server_log_set(), openrtmp_log_to_system(), openrtmp_thread_hooks(),
//      openrtmp_annex_b_of_frame(), openrtmp_annex_b_to_frame(),
//      openrtmp_decoder_config_format() and its kin,
//      openrtmp_record_list(),
//      openrtmp_tap_list(), openrtmp_publisher_list(); OPENRTMP_EVENT_PUBLISHER_LOST;
//      openrtmp_server_drain(), openrtmp_summary.streams; OPENRTMP_EVENT_VIDEO_STOPPED,
//      OPENRTMP_EVENT_VIDEO_RESUMED;
//      openrtmp_relay_add(), _remove() and _list(), OPENRTMP_EVENT_OUTGOING_FAILED,
//      OPENRTMP_EVENT_RELAY_STARTED, _FAILED and _ENDED;
//      openrtmp_server_http_port(), openrtmp_server_http_urls(), openrtmp_server_http_stats(),
//      openrtmp_http_token(), OPENRTMP_ERROR_UNSUPPORTED: streams over HTTP, in a library built with `live`;
//      OPENRTMP_NULLABLE;
//      openrtmp_summary.left_behind, openrtmp_log_record.server_id; who publishes: in
//      openrtmp_stream_info, openrtmp_connection_info, OPENRTMP_EVENT_STREAM_PUBLISHED;
//      OPENRTMP_ERROR_MEMORY, OPENRTMP_ERROR_TIMEOUT. TLS: "tls" and rtmps:// in "listen",
//      openrtmp_tls_set_certificate(), openrtmp_tls_reload(), openrtmp_tls_pin(),
//      openrtmp_tls_set_challenge(), openrtmp_server_metrics_text(),
//      OPENRTMP_EVENT_CERTIFICATE_EXPIRES; openrtmp_access_request.tls and what follows it;
//      openrtmp_request_accept_as(), _pass() and _fail().
//      Since 1 also: openrtmp_server_end_stream_id(), openrtmp_server_stream_name(),
//      openrtmp_server_set_write_coalesce(), openrtmp_server_set_background(),
//      openrtmp_server_reconfigure(), openrtmp_server_config(),
//      openrtmp_request_mark_secret(); on_republished and on_lost of taps;
//      OPENRTMP_EVENT_CONFIG_CHANGED, _INTERNAL_ERROR, _RECORDING_LOST,
//      _RECORDER_RESTARTED; OPENRTMP_ERROR_GONE, OPENRTMP_ERROR_NEEDS_RESTART.
//      Changed: openrtmp_server_free() may be called in callbacks, waits at most 1 s, and
//      nothing but on_closed follows it, on a thread of its own. openrtmp_server_stop() and
//      all calls that wait have a deadline. A late answer to a request is NOT_FOUND.
//      openrtmp_record_stop() tells what the recording has made.
//      openrtmp_config_set() and _load_text() refuse values out of their range. reserved
//      must be 0, and struct_size is written in what is filled. The JSON of
//      openrtmp_server_metrics_json() has the names of openrtmp_metrics. Lists are complete or
//      OPENRTMP_ERROR_TIMEOUT. Names of streams are masked where they hold keys.
//   1  The first.
//
// SETTINGS, by their paths [defaults; those of the mobile profile where they differ].
// openrtmp_config_set() takes a value as it stands here; durations are milliseconds, or
// texts such as 10s and 1m30s; sizes bytes, or texts such as 64KiB and 1GiB.
//   listen [0.0.0.0:1935,[::]:1935]: addresses with commas between them; port 0: a free one; [::] is IPv6 only; rtmps://ADDRESS:PORT speaks TLS; behind a proxy JSON: [{"address": ADDRESS, "tls": false, "proxy_protocol": true}]
//   tls.certificate []: PEM file, or PEM text: the certificate, then those between it and its authority
//   tls.key []: PEM file, or PEM text, of its private key; none: beside the certificate
//   tls.certificates [[]]: more for other names, as JSON: [{"certificate": FILE, "key": FILE}]
//   tls.self_signed [false]: make a certificate if none is named
//   tls.state_directory []: folder that keeps the key of such a certificate
//   tls.min_version [1.2]: of TLS: 1.2 or 1.3
//   tls.cipher_suites [[]]: names as IANA has them, the best first; none: all that are safe
//   tls.handshake_timeout [10000]: ms to the end of the handshake of TLS, 100 to 600000
//   tls.acme.directory [https://acme-v02.api.letsencrypt.org/directory]: who gives certificates, with https://; the openrtmp command asks, the library waits for tls.acme.storage
//   tls.acme.ca []: PEM of the authority of its own HTTPS server; none: the system's
//   tls.acme.email []: where it writes before a certificate expires
//   tls.acme.domains [[]]: names that the certificate is for, without wildcards, up to 100; none: off
//   tls.acme.challenge [http-01]: how it sees that they lead here: http-01 or tls-alpn-01
//   tls.acme.http_listen [0.0.0.0:80,[::]:80]: where http-01 is answered
//   tls.acme.storage []: folder for the account's key, and for certificate and key
//   tls.acme.eab.kid []: names the key that an authority hands out for accounts it knows
//   tls.acme.eab.key []: that key, as base64url
//   tls.client_auth.mode [off]: certificates of those who connect: off, optional or required
//   tls.client_auth.ca []: PEM of the authorities whose certificates are good
//   tls.client_auth.pins [[]]: pins of their keys, sha256//BASE64
//   tls.client.roots [system]: whom to believe when connecting: system, bundled, or PEM
//   tls.client.pins [[]]: pins of servers' keys, sha256//BASE64, in place of that
//   tls.client.certificate []: PEM of the certificate to show to servers
//   tls.client.key []: PEM of its private key
//   tls.client.insecure [false]: believe any server; for development alone
//   http.listen [auto]: where the openrtmp command, or a library built with `live`, delivers streams to viewers: http://ADDRESS:PORT, https://ADDRESS:PORT, with commas between them; auto: port 8080 of the addresses of listen, if it is free, by the command alone; none: nowhere
//   http.preset [balanced]: how far behind viewers are to be: lan (parts of 0.2 s), balanced (0.334 s) or public (1 s)
//   http.window [30000]: ms of a stream that viewers can go back, 10000 to 21600000
//   http.dvr.duration [0]: the same with what is older than http.window, 10000 to 21600000; 0: no more than that
//   http.dvr.directory []: folder for what is older than that, made if missing; none: memory, as far as http.memory goes
//   http.dvr.bytes [17179869184]: of that folder, 1048576 or more; with more, the oldest are removed
//   http.dash.low_latency [false]: DASH tells of segments that are not complete, if all are equally long
//   http.variants []: endings of names that are the same stream in other sizes, such as _low: cam_low is delivered as one of cam
//   http.base_url []: where they fetch media, in front of its path, for example https://cdn.example.org; none: where the master playlist was
//   http.cors.origins [*]: pages of other sites that may use it, such as https://www.example.org; *: all
//   http.list [allowed]: which streams are listed, at / and /api/streams: all, allowed (those that who asks may play), or none
//   http.memory [0]: of streams that are kept for viewers, all together; 0: half of limits.memory
//   http.viewers.connections [10000]: of viewers at once, 1 to 1000000
//   http.viewers.connections_per_address [0]: of one address (of IPv6: a /64), 1 to 1000000; 0: no more than are free, which is half of all at most; of access.trusted_proxies: no limit
//   http.viewers.requests [256]: of one HTTP/2 connection at once, 8 to 1024
//   http.viewers.waiting [64]: requests of one connection that wait for what comes, 4 to 1024
//   http.viewers.waiting_per_stream [40000]: the same of one stream, 16 to 10000000; an address has no more than are free
//   http.viewers.wanted [256]: streams that are begun for viewers or kept for them at once, 1 to 1000000; an address has no more than are free
//   http.viewers.least_rate [16384]: per second that a viewer takes of an answer, 0 to 1073741824
//   http.tokens.keys [[]]: secrets that tokens of viewers are signed with, 16 bytes or more, the first signs; none: one that is made at the start
//   http.tokens.life [21600000]: ms that a token of a viewer is good, 60000 to 2592000000
//   http.tokens.same_address [false]: a token is good from the address alone that it was given to (of IPv6: its /64)
//   http.connections [256]: of the openrtmp command's HTTP server, 1 to 65536, then the silent are closed
//   http.requests [1000]: of one connection, then it is closed, 1 or more
//   http.header_bytes [8192]: of a request's head, 1024 to 65536
//   http.headers [64]: fields of it, 1 to 1000
//   http.request_timeout [10000]: ms for a request to be complete, 100 to 600000
//   http.idle_timeout [30000]: ms for one to begin, 100 to 86400000
//   http.answer_timeout [30000]: ms for the peer to take an answer, 100 to 86400000
//   http.answer_bytes [16777216]: of answers that wait for peers, all together, 65536 or more
//   metrics.listen [[]]: where the openrtmp command tells numbers and health over HTTP; none: nowhere
//   metrics.streams [1000]: streams with series of their own in openrtmp_server_metrics_text(), to 100000
//   log.level [info]: what the openrtmp command logs: off, error, warn, info, debug or trace
//   log.format [text]: of its lines: text, or a JSON object each
//   log.output [stderr]: where they go: stderr, file, syslog (Unix), eventlog (Windows; a service's default), oslog (macOS) and logcat (Android), as many as there are to be; none: nowhere
//   log.file.path []: the file, in a folder that is there
//   log.file.max_bytes [104857600]: bytes, 4096 or more, then a new file; 0: never
//   log.file.max_age [0]: ms, 1000 or more, then a new file; 0: never
//   log.file.keep [10]: files of before that are kept, to 10000
//   log.file.gzip [true]: they are compressed
//   control.listen [auto]: socket of the openrtmp command for openrtmp ctl: a path, auto (/run/openrtmp/ctl.sock if that can be had; on Windows \\.\pipe\openrtmp), or off
//   control.clients [8]: connections to it at once, 1 to 256
//   control.request_bytes [65536]: of one request, 1024 to 1048576
//   control.timeout [30000]: ms for a request to come, and for an answer to be taken, 100 to 86400000
//   hooks.on_publish [[]]: program, with its arguments, that the openrtmp command runs while a stream is published; none: none
//   hooks.on_publish_done [[]]: the same when a publisher has left
//   hooks.on_play [[]]: the same while somebody plays, for each player
//   hooks.on_record_done [[]]: the same when a recording is complete
//   hooks.on_demand [[]]: the same while a stream is played that nobody else publishes: it is to publish it
//   hooks.processes [64]: of them at once, 1 to 65536
//   hooks.timeout [60000]: ms that on_publish_done and on_record_done may run, 1000 to 86400000
//   hooks.stop_timeout [5000]: ms that a program may take to end when it is asked to, to 600000, then it is killed
//   hooks.demand_timeout [15000]: ms for on_demand to publish, 1000 to 600000, then players are disconnected
//   hooks.idle_timeout [10000]: ms after its last player that on_demand is ended, to 86400000
//   hooks.log_lines [10]: a second of what one process writes that go to the log, to 100000; 0: none
//   workers [0; 1]: threads that move media, 1 to 64; 0: as many as cores
//   rtmp.chunk_size [60000]: bytes, 128 to 65536
//   rtmp.window_ack_size [2500000]: bytes, 1024 or more
//   rtmp.strict_handshake [false]: refuse peers whose C2 does not echo S1
//   rtmp.handshake_timeout [10000]: ms to the end of the handshake, 100 to 600000
//   rtmp.connect_timeout [10000]: ms from there to connect, 100 to 600000
//   rtmp.idle_timeout [30000]: ms from there to publish or play, 100 to 86400000
//   rtmp.ping_interval [0]: ms of silence, 1000 to 86400000, then a ping; 0: never
//   streams.second_publisher [reject]: who stays: reject, takeover or wait
//   streams.publisher_timeout [10000]: ms of silence, then anybody may take over, 100 to 86400000
//   streams.media_timeout [10000]: ms without a byte of media, then a publish ends; 0: never
//   streams.message_timeout [30000]: ms without a whole message, then a publish ends; 0: never
//   streams.republish_grace [5000]: ms that players wait for a publisher that vanished, to 86400000
//   streams.video_timeout [5000]: ms without a picture while sound goes on, 100 to 86400000, then that is told; 0: never
//   streams.goodbye_grace [0]: ms that players wait for one that said goodbye, to 86400000
//   streams.wait_for_publisher [true]: players wait for streams that are not there
//   streams.start_at_zero [false]: a new stream's clock begins at 0, not where its publisher's is
//   streams.all_tracks [false]: also players that announce no multitrack get every track
//   gop.min_duration [2000]: ms kept for who joins, in whole GOPs, to 60000
//   gop.max_duration [30000]: ms, to 600000: a longer GOP is not kept; 0: none
//   gop.max_frames [4096]: nor one of more frames
//   gop.max_bytes [67108864; 16777216]: nor one of more bytes
//   queue.max_delay [5000]: ms waiting, 10 to 600000, then video is dropped
//   queue.max_bytes [67108864; 16777216]: the same by bytes, 65536 or more
//   queue.stall_timeout [15000]: ms of taking nothing, 100 to 86400000, then disconnected
//   queue.worker_bytes [16777216]: of one stream, on their way to another worker, 65536 or more
//   queue.worker_messages [1024]: the same in messages, 16 or more
//   queue.write_coalesce [0]: ms that packets are collected before they are written, to 350
//   queue.coalesce_bytes [65536]: bytes that end such a wait early
//   queue.background_coalesce [250]: the same in the background at least, for reads of publishers too, to 350
//   queue.unsent_bytes [262144]: bytes that may wait in the system, 16384 or more; 0: any
//   access.publish_keys []: keys with commas between them; none: everybody may
//   access.play_keys []: the same for playing
//   access.keys_file []: file of keys for one app each; with it nobody publishes without
//   access.revoke_ends_play [true]: what is played ends with the key that it began with
//   access.rules [[]]: who may come from where, the first that is about it decides: [{"deny": "10.0.0.0/8", "action": "publish"}]
//   access.trusted_proxies [[]]: networks of proxies, which may say where a peer really comes from
//   access.failed_attempts.limit [5]: wrong keys and refusals of one address, then it is blocked; 0: never
//   access.failed_attempts.window [60000]: ms in which they count, 1000 to 86400000
//   access.failed_attempts.block [300000]: ms that it is blocked, 1000 to 2592000000
//   access.callback.url []: HTTP server that the openrtmp command asks who may do what; none: nobody is asked
//   access.callback.format [json]: in whose words: json (ours), nginx, srs or mediamtx
//   access.callback.events [connect,publish,play,update,publish_done,play_done,record_done]: about what: connect, publish, play, update, and notices publish_done, play_done, record_done
//   access.callback.timeout [5000]: ms for one answer, 100 to 60000
//   access.callback.fallback [deny]: what holds without an answer: deny or allow
//   access.callback.cache [0]: ms that a consent holds for the same wish from the same address, to 86400000
//   access.callback.update_interval [0]: ms until it is asked again about what goes on, 1000 to 86400000; 0: never
//   access.callback.secret []: signs each request (HMAC-SHA256)
//   access.callback.ca []: PEM of the authorities to believe in place of the system's
//   access.users []: a list of {"user": "ann", "password": "..."}; none: nobody is asked
//   access.authenticate [everybody]: who has to be one of them: everybody, or publishers
//   access.challenge_timeout [30000]: ms to show the password in, 1000 to 600000
//   access.secret_names [false]: true: the last segment of every name is a key, not shown
//   access.decision_timeout [10000]: ms for on_access to be answered, 100 to 600000; 0: 10000
//   record.directory []: folder, made if missing; naming it records, "record" null does not
//   record.template [{app}/{name}-{date}-{time}]: file name with {app} {name} {date} {time} {index}
//   record.format [flv]: kind of files: flv, which holds everything, or mp4, which more programs play
//   record.time_zone [utc]: of {date} and {time}: utc, or local
//   record.apps []: apps with commas between them; none: all
//   record.streams [all]: all, or those whose publishers ask for it: they publish with the mode record or append
//   record.split_duration [0]: ms, then a new file; 0: never
//   record.split_bytes [0]: bytes, then a new file; 0: never
//   record.queue_bytes [67108864]: bytes of a stream that wait for the disk, 1048576 or more
//   relay.push []: a list of {"match": "live/*", "to": "rtmp://host/{app}/{name}"}
//   relay.pull []: the same with "from", and with "start": "demand" or "always", "idle_timeout": ms
//   relay.retry_min [500]: ms before another server is tried again, doubled each time, 10 to 3600000
//   relay.retry_max [30000]: ms that this grows to, to 86400000
//   mobile.background [grace]: what the background means for the server: stop, grace, audio, service or app
//   mobile.suspend_margin [5000]: ms before the end of the system's time that the host is told to suspend, 1000 to 30000
//   mobile.network_grace [30000]: ms that streams are kept at least without network, and after a suspension, to 600000
//   mobile.networks [any]: by which networks peers may come: any, wifi (all but cellular and VPN) or cellular
//   mobile.advertise [false]: the host is told to advertise the server in the local network
//   limits.connections [1000; 100]: at once, 1 or more
//   limits.connections_per_address [0]: the same of one address; 0: no limit
//   limits.handshake_grace [1000]: ms, to 600000; then who has not got to connect makes room
//   limits.connection_work [250]: ms of a worker that one connection may take of each second; 0: any
//   limits.message_rate [10000]: messages a second that one connection may live on; 0: any
//   limits.publishers [10; 3]: at once, 1 or more
//   limits.publishers_per_connection [4]: of them, 1 or more
//   limits.publishers_per_address [0]: of them, from one address; 0: no limit
//   limits.publisher_bitrate [50000000; 20000000]: bit/s of one, then an event; 0: no limit
//   limits.disconnect_over_bitrate [false]: and the publisher is disconnected
//   limits.outgoing_bitrate [500000000; 100000000]: bit/s of all, then an event; 0: no limit
//   limits.memory [1073741824; 134217728]: bytes held for peers, 1048576 or more
//   limits.answer_bytes [2097152]: bytes of answers that a peer has not read, 65536 or more
//   limits.header_bytes [1048576]: bytes of metadata and decoder configurations of a stream
//   limits.tracks [32]: of a stream, looked into and told of; others are passed on
//   limits.linger [2000]: ms that a peer may read what was said last, to 60000
//   limits.linger_bytes [1048576]: bytes read and thrown away meanwhile
//   limits.accept_retry [250]: ms after accepting failed, 10 to 60000
//   limits.challenges [65536]: the latest that may be answered, 64 to 1048576
//   limits.recordings [256]: recordings that the host may have asked for, a thread each, to 4096
//   limits.relay_rules [1024]: relays that the host may have added, to 65536
//   limits.relay_hops [16]: servers that a relayed stream may have come through, 1 to 63
//   limits.relay_redirects [5]: that a relay follows in a row, to 100
//   limits.log_lines [20]: a second that peers can cause, of each kind; 0: no limit
//   limits.session.message_bytes [16777215]: bytes of one message, 1024 to 16777215
//   limits.session.partial_bytes [20971520]: bytes of unfinished messages, 1024 or more
//   limits.session.command_bytes [262144]: the same of who does not publish
//   limits.session.chunk_streams [64]: of one connection, 4 to 65598
//   limits.session.message_streams [16]: of one connection, 1 to 65536
//   limits.session.name_bytes [4096]: bytes of an app or a stream's name, query included
//   limits.session.pending_requests [16]: of one connection, 1 to 65536
//   limits.session.waiting_messages [4096]: media behind an unanswered publish, 16 to 1048576
//   limits.session.amf.depth [32]: levels of values in values, 1 to 64
//   limits.session.amf.string_bytes [65536]: bytes of one text
//   limits.session.amf.elements [16384]: of one message
//   limits.session.amf.decoded_bytes [1048576]: bytes of one message, decoded
//   limits.session.amf.values_per_byte [4]: of one message, references expanded, 2 to 1024
//   limits.session.amf.values_base [64]: what a message may hold beside them


#ifndef OPENRTMP_H
#define OPENRTMP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Marks a pointer that may be NULL. All others must not be, and compilers that know of
// such marks say so.
#if defined(__clang__)
#if __has_feature(nullability)
#define OPENRTMP_NULLABLE _Nullable
#define OPENRTMP_NONNULL _Nonnull
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#pragma clang assume_nonnull begin
#endif
#endif
#ifndef OPENRTMP_NULLABLE
#define OPENRTMP_NULLABLE
#define OPENRTMP_NONNULL
#endif

#ifdef __cplusplus
extern "C" {
#endif

/// Text by pointer and length. Not necessarily ended by NUL. {NULL, 0} is empty.
typedef struct openrtmp_str {
    const char *OPENRTMP_NULLABLE data;
    size_t length;
} openrtmp_str;

/// The text of a string that ends with NUL; NULL is the empty text.
static inline openrtmp_str openrtmp_str_from(const char *OPENRTMP_NULLABLE text) {
    openrtmp_str result;
    result.data = text;
    result.length = text != NULL ? strlen(text) : 0;
    return result;
}

#define OPENRTMP_STR(text) openrtmp_str_from(text)

#ifdef __cplusplus
}
#endif


// Version of the library this header came with: major * 1,000,000 + minor * 1,000
// + patch.
#define OPENRTMP_VERSION 1000

// Version of the binary interface. A program works with a library of the same
// one; check openrtmp_abi_version() where the library is loaded at run time. CHANGES above
// tells what each has brought.
#define OPENRTMP_ABI_VERSION 2

// Success.
#define OPENRTMP_OK 0

// An argument is NULL that must not be, or has a value that means nothing.
#define OPENRTMP_ERROR_INVALID_ARGUMENT -1

// A text is not UTF-8.
#define OPENRTMP_ERROR_INVALID_UTF8 -2

// struct_size is smaller than the first version of the struct, or the struct asks
// for something that this library does not know.
#define OPENRTMP_ERROR_STRUCT_SIZE -3

// The buffer cannot hold the text; its length was told.
#define OPENRTMP_ERROR_BUFFER_TOO_SMALL -4

// There is no such thing, or no longer.
#define OPENRTMP_ERROR_NOT_FOUND -5

// Not possible in this state: not started, already started, not configured.
#define OPENRTMP_ERROR_STATE -6

// Called from inside a callback that the call would have to wait for.
#define OPENRTMP_ERROR_RECURSIVE -7

// A setting is unknown or its value is not allowed; the message names the path.
#define OPENRTMP_ERROR_CONFIG -8

// An address cannot be listened on.
#define OPENRTMP_ERROR_LISTEN -9

// A file, or another thing of the system, failed.
#define OPENRTMP_ERROR_IO -10

// Somebody else has it: the stream has a publisher, or is being recorded.
#define OPENRTMP_ERROR_BUSY -11

// A limit is reached.
#define OPENRTMP_ERROR_LIMIT -12

// Too much is waiting; try again later.
#define OPENRTMP_ERROR_WOULD_BLOCK -13

// A bug in this library, caught. The handle still works.
#define OPENRTMP_ERROR_PANIC -14

// A publisher's stream is another's now, or was ended: the publisher is of no more
// use. The message tells which.
#define OPENRTMP_ERROR_GONE -15

// Only a restart can change these settings; the message names their paths.
#define OPENRTMP_ERROR_NEEDS_RESTART -16

// The system has no memory for it.
#define OPENRTMP_ERROR_MEMORY -17

// Nobody answered, or nothing came, in time. What was asked for may still happen.
#define OPENRTMP_ERROR_TIMEOUT -18

// This library was built without it.
#define OPENRTMP_ERROR_UNSUPPORTED -19

// Defaults for a desktop or server machine.
#define OPENRTMP_PROFILE_DESKTOP 0

// Defaults for a phone or tablet: one worker thread, smaller limits.
#define OPENRTMP_PROFILE_MOBILE 1

// JSON.
#define OPENRTMP_FORMAT_JSON 0

// YAML.
#define OPENRTMP_FORMAT_YAML 1

// Made, or stopped: it can be started.
#define OPENRTMP_STATE_STOPPED 0

// It listens.
#define OPENRTMP_STATE_RUNNING 1

// A stop is on its way.
#define OPENRTMP_STATE_STOPPING 2

// Something is streamed: hold the locks that keep processor (cpu) and Wi-Fi (wifi) awake;
// at 0 let them go.
#define OPENRTMP_ORDER_KEEP_AWAKE 1

// About the service that keeps the program running (Android). action:
// OPENRTMP_SERVICE_ORDER_*, streams and connections: to be shown.
#define OPENRTMP_ORDER_SERVICE 2

// on: ask the system for time in the background; 0: give it back.
#define OPENRTMP_ORDER_TASK 3

// on: tell the local network of the server (Bonjour, NSD), port and txt; 0: stop that.
#define OPENRTMP_ORDER_ADVERTISE 4

// The user has not been asked for a permission that is needed. permission. When to ask is
// the program's to say; nothing else is asked for before openrtmp_host_permission() tells
// the answer.
#define OPENRTMP_ORDER_ASK_PERMISSION 5

// Call openrtmp_host_suspend() now.
#define OPENRTMP_ORDER_SUSPEND_NOW 6

// Start it, while the program is in front.
#define OPENRTMP_SERVICE_ORDER_START 1

// Show other numbers.
#define OPENRTMP_SERVICE_ORDER_UPDATE 2

// It is not needed any more.
#define OPENRTMP_SERVICE_ORDER_STOP 3

// The service runs.
#define OPENRTMP_SERVICE_STARTED 1

// The system did not let it start.
#define OPENRTMP_SERVICE_REFUSED 2

// The system's time for it is over.
#define OPENRTMP_SERVICE_TIMED_OUT 3

// The user ended it.
#define OPENRTMP_SERVICE_STOPPED 4

// Anything else, and what nothing is known of.
#define OPENRTMP_NETWORK_OTHER 0

// A wireless network that this device has joined.
#define OPENRTMP_NETWORK_WIFI 1

// A cable.
#define OPENRTMP_NETWORK_ETHERNET 2

// A mobile operator's network.
#define OPENRTMP_NETWORK_CELLULAR 3

// A wireless network that this device opened for others.
#define OPENRTMP_NETWORK_HOTSPOT 4

// A cable to a computer or another phone (tethering).
#define OPENRTMP_NETWORK_USB 5

// A tunnel.
#define OPENRTMP_NETWORK_VPN 6

// What is sent there costs money, or counts.
#define OPENRTMP_NETWORK_METERED 1

// The user asked programs to send little there.
#define OPENRTMP_NETWORK_CONSTRAINED 2

// Where the system sends what has no better way.
#define OPENRTMP_NETWORK_DEFAULT 4

// Devices of the local network.
#define OPENRTMP_PERMISSION_LOCAL_NETWORK 1

// Showing notices.
#define OPENRTMP_PERMISSION_NOTIFICATIONS 2

// Nobody was asked yet, or the system does not tell.
#define OPENRTMP_PERMISSION_UNKNOWN 0

// The user said yes.
#define OPENRTMP_PERMISSION_GRANTED 1

// The user said no.
#define OPENRTMP_PERMISSION_DENIED 2

// Not hot.
#define OPENRTMP_THERMAL_NOMINAL 0

// A little.
#define OPENRTMP_THERMAL_FAIR 1

// The system slows down: treated as little power.
#define OPENRTMP_THERMAL_SERIOUS 2

// The system is about to stop things: the same.
#define OPENRTMP_THERMAL_CRITICAL 3

// There is memory.
#define OPENRTMP_MEMORY_NORMAL 0

// Of each stream one GOP is kept.
#define OPENRTMP_MEMORY_MODERATE 1

// None is, queues are half as long, and nobody new is let in.
#define OPENRTMP_MEMORY_CRITICAL 2

// URLs by mobile operators' networks too.
#define OPENRTMP_REACHABLE_CELLULAR 1

// Those by tunnels.
#define OPENRTMP_REACHABLE_VPN 2

// This device's own.
#define OPENRTMP_REACHABLE_LOOPBACK 4

// An event of a newer library; its JSON tells.
#define OPENRTMP_EVENT_OTHER 0

// The server listens. text: its addresses, with commas between them.
#define OPENRTMP_EVENT_SERVER_STARTED 1

// The server is going away.
#define OPENRTMP_EVENT_SERVER_STOPPING 2

// A worker thread failed and was started again. number: which.
#define OPENRTMP_EVENT_WORKER_RESTARTED 3

// Accepting failed and is tried again. text: what the system said.
#define OPENRTMP_EVENT_ACCEPT_FAILED 4

// A connection was accepted. connection_id, peer.
#define OPENRTMP_EVENT_CONNECTION_OPENED 5

// A connection is over. connection_id, peer, reason, text: why.
#define OPENRTMP_EVENT_CONNECTION_CLOSED 6

// A stream has a publisher. stream_id, stream, flag: it replaced another, connection_id: who
// it is; 0: an openrtmp_publisher.
#define OPENRTMP_EVENT_STREAM_PUBLISHED 7

// A stream's tracks became known or changed. stream_id, stream, text: codec
// strings with commas between them; the JSON has the rest.
#define OPENRTMP_EVENT_STREAM_TRACKS 8

// A stream's publisher left; it may come back. stream_id, stream.
#define OPENRTMP_EVENT_STREAM_UNPUBLISHED 9

// A stream is over and its players were told. stream_id, stream.
#define OPENRTMP_EVENT_STREAM_ENDED 10

// A player was attached to a stream. connection_id, stream. All who want a stream over HTTP
// that may be begun for them are one, whose id no connection has.
#define OPENRTMP_EVENT_SUBSCRIBER_JOINED 11

// A player left a stream. connection_id, stream, number: frames it did not get.
#define OPENRTMP_EVENT_SUBSCRIBER_LEFT 12

// A player is too slow. connection_id, stream, number: frames dropped just now.
#define OPENRTMP_EVENT_SUBSCRIBER_DROPPING 13

// A request was decided. connection_id (0 over HTTP), peer, stream: the app or the stream,
// text: why not, flag: granted, number: OPENRTMP_ACCESS_*; in json also "user"
// ("access.users") and "protocol".
#define OPENRTMP_EVENT_ACCESS 14

// A limit was reached. connection_id if it is one connection's, text: which, by its
// setting's path, number: its value, durations in ms.
#define OPENRTMP_EVENT_LIMIT_REACHED 15

// A recording was begun. stream, text: the file.
#define OPENRTMP_EVENT_RECORDING_STARTED 16

// A recording is complete. stream, text: the file, number: its bytes.
#define OPENRTMP_EVENT_RECORDING_FINISHED 17

// A recording ended early. stream, text: what the system said.
#define OPENRTMP_EVENT_RECORDING_FAILED 18

// The callback, or who fetches, was too slow. number: events that are missing here, before
// the next one. To catch up, list what there is (openrtmp_server_streams(),
// _connections(), _subscribers()) and go on: see EVENTS.
#define OPENRTMP_EVENT_LOST 19

// Other settings are in force. text: their paths, with commas between them.
#define OPENRTMP_EVENT_CONFIG_CHANGED 20

// A bug in this library was caught in a call of this process, which returned
// OPENRTMP_ERROR_PANIC or nothing. Each running server tells. text: what is known.
#define OPENRTMP_EVENT_INTERNAL_ERROR 21

// The server is gone; nothing follows. number: connections that were closed by force; the
// JSON has connections accepted, and bytes.
#define OPENRTMP_EVENT_SERVER_STOPPED 22

// A stream's publisher vanished without a goodbye; OPENRTMP_EVENT_STREAM_UNPUBLISHED
// follows. stream_id, stream, number: ms that players wait for the next.
#define OPENRTMP_EVENT_PUBLISHER_LOST 40

// A stream's picture has stopped while its sound goes on ("streams.video_timeout").
// stream_id, stream, number: ms that the sound is beyond the last picture.
#define OPENRTMP_EVENT_VIDEO_STOPPED 70

// A picture is there again. stream_id, stream, number: ms from the last one before.
#define OPENRTMP_EVENT_VIDEO_RESUMED 71

// No connection to another server came about that was asked for. connection_id: which it
// would have been, text: why. The JSON has host and port.
#define OPENRTMP_EVENT_OUTGOING_FAILED 41

// A relayed stream runs. connection_id: the one to the other server, stream, number: the
// relay, text: the other server's URL without names of streams and queries.
#define OPENRTMP_EVENT_RELAY_STARTED 42

// A connection for a relayed stream came to nothing, or broke. stream, number: the relay,
// text: what happened, flag: 1 if it is tried again. The JSON has the URL, the status code
// that the other server refused with, and the pause.
#define OPENRTMP_EVENT_RELAY_FAILED 43

// A stream is relayed no longer: it is over, nobody plays it any more, or the rule is gone.
// stream, number: the relay.
#define OPENRTMP_EVENT_RELAY_ENDED 44

// A certificate of the server comes to its end: told 30, 7 and 1 days before, as far as it
// lives more than four times as long, else when a sixth of its life is left; and when it has
// expired. text: what it is for, number: ms from now on, 0 if it has expired; the JSON tells
// where it comes from.
#define OPENRTMP_EVENT_CERTIFICATE_EXPIRES 50

// An address made too many failed attempts (access.failed_attempts). text: the address,
// number: ms for which it is blocked.
#define OPENRTMP_EVENT_ADDRESS_BLOCKED 60

// A recording misses frames, since the disk is too slow. stream, text: the file, number:
// frames; the JSON has bytes and span.
#define OPENRTMP_EVENT_RECORDING_LOST 30

// A recorder failed and goes on with new files. The JSON has the pause.
#define OPENRTMP_EVENT_RECORDER_RESTARTED 31

// The program went to the background. number: ms that the system lets it run, UINT64_MAX if
// it did not say; text: the policy ("mobile.background") that holds; flag: 1 if live streams
// end, or lose their video, by that: another policy keeps them.
#define OPENRTMP_EVENT_BACKGROUND 90

// The program came to the front.
#define OPENRTMP_EVENT_FOREGROUND 91

// The system lets the program run for so long only. number: ms.
#define OPENRTMP_EVENT_REMAINING_TIME 92

// The server was suspended. number: connections that were closed; flag: 1 if all was done
// in time. The JSON has the report.
#define OPENRTMP_EVENT_SUSPENDED 93

// The server is back. number: ms that the program was away; flag: 1 if no listener is
// missing. The JSON has the report.
#define OPENRTMP_EVENT_RESUMED 94

// The server is reached under other URLs. text: all of them, the best first, with commas
// between them.
#define OPENRTMP_EVENT_URLS_CHANGED 95

// There is no network. number: ms that streams are kept.
#define OPENRTMP_EVENT_NETWORK_LOST 96

// There is a network again.
#define OPENRTMP_EVENT_NETWORK_BACK 97

// What goes to the internet goes through a mobile operator's network now.
#define OPENRTMP_EVENT_CELLULAR_USED 98

// What the user says about a permission. number: OPENRTMP_PERMISSION_UNKNOWN and so on;
// flag: 1 if it was granted; text: "local_network" or "notifications".
#define OPENRTMP_EVENT_PERMISSION 99

// How the device is off for power. flag: 1 if it is short of it. The JSON has all.
#define OPENRTMP_EVENT_POWER 100

// How the device is off for memory. number: OPENRTMP_MEMORY_*.
#define OPENRTMP_EVENT_MEMORY 101

// What became of the service. number: OPENRTMP_SERVICE_STARTED and so on.
#define OPENRTMP_EVENT_SERVICE 102

// A listening socket was taken by the system, and is bound again as soon as may be. text:
// where it listened.
#define OPENRTMP_EVENT_LISTENER_LOST 103

// The server listens again where a listening socket was lost. text: where.
#define OPENRTMP_EVENT_LISTENER_RESTORED 104

// Another reason, or none.
#define OPENRTMP_CLOSE_OTHER 0

// The peer closed it.
#define OPENRTMP_CLOSE_PEER 1

// The network failed.
#define OPENRTMP_CLOSE_NETWORK 2

// The peer broke the protocol, or did not get on in time.
#define OPENRTMP_CLOSE_PROTOCOL 3

// The peer was refused.
#define OPENRTMP_CLOSE_REFUSED 4

// The peer took nothing of what it asked for.
#define OPENRTMP_CLOSE_TOO_SLOW 5

// A limit of the server.
#define OPENRTMP_CLOSE_LIMIT 6

// The host asked for it.
#define OPENRTMP_CLOSE_HOST 7

// The server stopped.
#define OPENRTMP_CLOSE_SERVER_STOPPED 8

// A bug in this library, caught.
#define OPENRTMP_CLOSE_INTERNAL 9

// The server was suspended.
#define OPENRTMP_CLOSE_SUSPENDED 10

// The system took its socket while the program was suspended.
#define OPENRTMP_CLOSE_SOCKET_LOST 11

// Something that a newer library asks.
#define OPENRTMP_ACCESS_OTHER 0

// To connect to an app.
#define OPENRTMP_ACCESS_CONNECT 1

// To publish a stream.
#define OPENRTMP_ACCESS_PUBLISH 2

// To play a stream.
#define OPENRTMP_ACCESS_PLAY 3

// Something failed that should not.
#define OPENRTMP_LOG_ERROR 1

// Something to look at.
#define OPENRTMP_LOG_WARN 2

// What goes on.
#define OPENRTMP_LOG_INFO 3

// For finding faults.
#define OPENRTMP_LOG_DEBUG 4

// Everything.
#define OPENRTMP_LOG_TRACE 5

// Goes back to "queue.write_coalesce", for openrtmp_server_set_write_coalesce().
#define OPENRTMP_COALESCE_DEFAULT UINT32_MAX

// A page with a player; of no stream, the page of all that are live.
#define OPENRTMP_FORM_PAGE 0

// HLS, with low latency for players that know it.
#define OPENRTMP_FORM_HLS 1

// DASH.
#define OPENRTMP_FORM_DASH 2

// HLS of MPEG-TS.
#define OPENRTMP_FORM_HLS_TS 3

// FLV over HTTP, and with ws in place of http (wss of https) over a WebSocket.
#define OPENRTMP_FORM_FLV 4

// A token opens all streams below its path too.
#define OPENRTMP_TOKEN_PREFIX 1

// Keys that may publish.
#define OPENRTMP_KEY_PUBLISH 0

// Keys that may play.
#define OPENRTMP_KEY_PLAY 1

// From this server to another.
#define OPENRTMP_RELAY_PUSH 0

// From another server to this one, while somebody plays the stream that nobody publishes.
#define OPENRTMP_RELAY_PULL 1

// From another server to this one, from now on. pattern names one stream, without "*".
#define OPENRTMP_RELAY_PULL_ALWAYS 2

// It is tried again in wait_ms.
#define OPENRTMP_RELAY_WAITING 0

// A connection is being made.
#define OPENRTMP_RELAY_CONNECTING 1

// The other server granted it.
#define OPENRTMP_RELAY_RUNNING 2

// Nothing is tried: it would go in a circle, or somebody else publishes what would be
// fetched.
#define OPENRTMP_RELAY_PARKED 3

// Audio.
#define OPENRTMP_MEDIA_AUDIO 1

// Video.
#define OPENRTMP_MEDIA_VIDEO 2

// AMF0 values: onMetaData and other data messages.
#define OPENRTMP_MEDIA_DATA 3

// Decoding can start here; set for every audio frame.
#define OPENRTMP_FRAME_KEY 1

// Decoder configuration (sequence header), which comes before the frames it is for.
#define OPENRTMP_FRAME_CONFIG 2

// Data about the media: onMetaData, HDR metadata, channel layouts.
#define OPENRTMP_FRAME_METADATA 4

// The end of a sequence.
#define OPENRTMP_FRAME_END 8

// Something else: a command to players, silence without a codec, or a message that
// cannot be read, whole; then codec is 0.
#define OPENRTMP_FRAME_OTHER 16

// H.264, "avc1".
#define OPENRTMP_FOURCC_AVC 1635148593

// H.265, "hvc1".
#define OPENRTMP_FOURCC_HEVC 1752589105

// H.266, "vvc1".
#define OPENRTMP_FOURCC_VVC 1987470129

// AV1, "av01".
#define OPENRTMP_FOURCC_AV1 1635135537

// VP8, "vp08".
#define OPENRTMP_FOURCC_VP8 1987063864

// VP9, "vp09".
#define OPENRTMP_FOURCC_VP9 1987063865

// AAC, "mp4a".
#define OPENRTMP_FOURCC_AAC 1836069985

// MP3, ".mp3".
#define OPENRTMP_FOURCC_MP3 778924083

// Opus, "Opus".
#define OPENRTMP_FOURCC_OPUS 1332770163

// FLAC, "fLaC".
#define OPENRTMP_FOURCC_FLAC 1716281667

// AC-3, "ac-3".
#define OPENRTMP_FOURCC_AC3 1633889587

// E-AC-3, "ec-3".
#define OPENRTMP_FOURCC_EAC3 1700998451

// A frame: frame.
#define OPENRTMP_TAP_FRAME 1

// A stream has a publisher; its frames follow.
#define OPENRTMP_TAP_STARTED 2

// A stream is over. It may start again.
#define OPENRTMP_TAP_ENDED 3

// A stream goes on with another publisher.
#define OPENRTMP_TAP_REPUBLISHED 4

// Frames are missing before the next one: loss.
#define OPENRTMP_TAP_LOST 5

// Settings of a server. Durations are told in whole milliseconds.
typedef struct openrtmp_config openrtmp_config;

// A queue of a server's events.
typedef struct openrtmp_events openrtmp_events;

// Publishes a stream from inside the process.
typedef struct openrtmp_publisher openrtmp_publisher;

// A server. Several may live in one process. A handle is a reference to it, as is
// everything that calls back: what a late callback calls still finds it.
typedef struct openrtmp_server openrtmp_server;

// Receives the frames of one stream or of all.
typedef struct openrtmp_tap openrtmp_tap;

// Something that happened. Which members mean something stands at each kind; the
// others are 0 or empty. Lives as long as the callback.
typedef struct openrtmp_event {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // OPENRTMP_EVENT_*.
    uint32_t kind;
    // The connection.
    uint64_t connection_id;
    // The stream.
    uint64_t stream_id;
    // See the kind.
    uint64_t number;
    // OPENRTMP_CLOSE_*.
    uint32_t reason;
    // 0 or 1, see the kind.
    uint32_t flag;
    // The stream's path, for example "live/cam", keys masked, as in "live/***1f3a";
    // openrtmp_server_stream_name() tells the whole.
    openrtmp_str stream;
    // The peer's address and port.
    openrtmp_str peer;
    // See the kind.
    openrtmp_str text;
    // The whole event as a JSON object.
    openrtmp_str json;
} openrtmp_event;

// What a peer wants to do. Lives as long as the callback; its id longer.
typedef struct openrtmp_access_request {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // OPENRTMP_ACCESS_*.
    uint32_t action;
    // For openrtmp_request_accept() and the other answers.
    uint64_t request_id;
    // Which connection asks.
    uint64_t connection_id;
    // The app.
    openrtmp_str app;
    // The stream's path, app included; empty when connecting. The whole of it: it may
    // be a key.
    openrtmp_str stream;
    // Query of the URL, without "?". It may hold keys.
    openrtmp_str query;
    // The peer's address and port.
    openrtmp_str peer;
    // How long the answer is waited for ("access.decision_timeout").
    uint64_t timeout_ms;
    // 1 if the peer came over TLS.
    uint32_t tls;
    // 0.
    uint32_t reserved;
    // The common name in the certificate that the peer showed ("tls.client_auth"), if it
    // has one.
    openrtmp_str certificate_common_name;
    // The names that the certificate is for, one a line: hosts, addresses, mailboxes, URIs.
    openrtmp_str certificate_names;
    // The pin of its key; empty if the peer showed none.
    openrtmp_str certificate_pin;
    // The user that the peer showed to be ("access.users"); empty if nobody asked.
    openrtmp_str user;
    // What the peer gave as the app's URL when it connected (tcUrl), query included: it may
    // hold keys. Empty if it gave none, or one that is too long.
    openrtmp_str tc_url;
    // The software that the peer says it is (flashVer), fit to be shown; empty if it says
    // nothing.
    openrtmp_str client;
} openrtmp_access_request;

// What the host of a server on a phone is to do. Which members mean something stands at
// each kind; the others are 0 or empty. Lives as long as the callback.
typedef struct openrtmp_order {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // OPENRTMP_ORDER_*.
    uint32_t kind;
    // 0 or 1.
    uint32_t on;
    // 0 or 1.
    uint32_t cpu;
    // 0 or 1.
    uint32_t wifi;
    // OPENRTMP_SERVICE_ORDER_*.
    uint32_t action;
    // OPENRTMP_PERMISSION_LOCAL_NETWORK and so on.
    uint32_t permission;
    // Of the first listener that others reach.
    uint32_t port;
    // Streams that are live.
    uint64_t streams;
    // Connections.
    uint64_t connections;
    // What to tell besides, such as "v=1 app=live tls=0".
    openrtmp_str txt;
} openrtmp_order;

// What a server calls back. Any member may be NULL.
typedef struct openrtmp_callbacks {
    // sizeof(openrtmp_callbacks).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Handed to each callback.
    void *OPENRTMP_NULLABLE user_data;
    // Something happened. A callback that falls 4,096 events behind loses some and
    // is told how many (OPENRTMP_EVENT_LOST).
    void (*OPENRTMP_NULLABLE on_event)(void *OPENRTMP_NULLABLE user_data,
                                       const struct openrtmp_event *event);
    // A peer asks to connect, publish or play, and the keys allow it. Answer with
    // openrtmp_request_accept() or openrtmp_request_reject(), here or later, from
    // any thread, within "access.decision_timeout"; then it is refused. Without
    // this callback the keys alone decide.
    void (*OPENRTMP_NULLABLE on_access)(void *OPENRTMP_NULLABLE user_data,
                                        const struct openrtmp_access_request *request);
    // The last call of all, exactly once, after openrtmp_server_free() and after every
    // other callback of this server has returned. On a thread that calls nothing else.
    void (*OPENRTMP_NULLABLE on_closed)(void *OPENRTMP_NULLABLE user_data);
    // The host of a server on a phone is to do something, see openrtmp_host_background()
    // and its kin. One that falls 4,096 orders behind loses some.
    void (*OPENRTMP_NULLABLE on_order)(void *OPENRTMP_NULLABLE user_data,
                                       const struct openrtmp_order *order);
} openrtmp_callbacks;

// Takes texts one by one, on the thread that asked, before the call returns.
typedef void (*openrtmp_visit_text)(void *OPENRTMP_NULLABLE user_data, openrtmp_str text);

// What was going on when a server was stopped.
typedef struct openrtmp_summary {
    // sizeof(openrtmp_summary).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Since the start.
    uint64_t uptime_ms;
    // Connections when the stop began.
    uint64_t connections;
    // Publishers when the stop began.
    uint64_t publishers;
    // Players when the stop began.
    uint64_t subscribers;
    // Connections that were there at the deadline and were closed by force.
    uint64_t forced;
    // Connections accepted since the start.
    uint64_t accepted;
    // Bytes read from sockets.
    uint64_t bytes_in;
    // Bytes written to sockets.
    uint64_t bytes_out;
    // Threads that did not end in time, and do so by themselves: callbacks that hang,
    // recordings on a disk that does.
    uint64_t left_behind;
    // Streams when the stop began, those within their grace included.
    uint64_t streams;
} openrtmp_summary;

// Whether a server works.
typedef struct openrtmp_health {
    // sizeof(openrtmp_health).
    uint32_t struct_size;
    // 1 if every worker thread answers.
    uint32_t live;
    // 1 if it takes new connections.
    uint32_t ready;
    // 0.
    uint32_t reserved;
} openrtmp_health;

// What openrtmp_host_suspend() did.
typedef struct openrtmp_suspend_report {
    // sizeof(openrtmp_suspend_report).
    uint32_t struct_size;
    // 1 if all was done in time.
    uint32_t in_time;
    // Listening sockets that were closed.
    uint64_t listeners;
    // Connections that were told.
    uint64_t told;
    // Connections that are closed.
    uint64_t closed;
    // Recorders whose files are on the disk as far as they were written.
    uint64_t recordings;
} openrtmp_suspend_report;

// What openrtmp_host_resume() or openrtmp_server_check_listeners() found and did.
typedef struct openrtmp_resume_report {
    // sizeof(openrtmp_resume_report).
    uint32_t struct_size;
    // 1 if all was done in time, and nothing came in between.
    uint32_t in_time;
    // Listening sockets that were there still.
    uint64_t alive;
    // Those that were bound again, on the same ports.
    uint64_t remade;
    // Those that could not be had yet; they are tried again.
    uint64_t failed;
    // Connections whose sockets the system had taken.
    uint64_t connections_lost;
} openrtmp_resume_report;

// A network that the system says this device is connected to. Filled by the caller.
typedef struct openrtmp_network {
    // sizeof(openrtmp_network).
    uint32_t struct_size;
    // OPENRTMP_NETWORK_WIFI and so on.
    uint32_t kind;
    // OPENRTMP_NETWORK_METERED, _CONSTRAINED and _DEFAULT, added.
    uint32_t flags;
    // 0.
    uint32_t reserved;
    // Its interface, such as "wlan0".
    openrtmp_str name;
    // This device's addresses there, with commas between them; may be empty.
    openrtmp_str addresses;
} openrtmp_network;

// A URL under which others reach a server. Lives as long as the visit.
typedef struct openrtmp_reachable_info {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // OPENRTMP_NETWORK_WIFI and so on.
    uint32_t kind;
    // 0 for the one that others are most likely to reach, and so on.
    uint32_t rank;
    // 1 if what is sent there costs money, or counts.
    uint32_t metered;
    // Such as "rtmp://192.168.1.5:1935/live/cam".
    openrtmp_str url;
    // The interface that has its address; empty if that is not known.
    openrtmp_str interface_name;
} openrtmp_reachable_info;

// What a server costs in power, since its start.
typedef struct openrtmp_power_stats {
    // sizeof(openrtmp_power_stats).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // How often a worker thread went on after waiting.
    uint64_t wake_ups;
    // Calls of the system for sockets.
    uint64_t system_calls;
    // Time that worker threads did not wait, of all together.
    uint64_t active_us;
} openrtmp_power_stats;

// One log record. Lives as long as the callback.
typedef struct openrtmp_log_record {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // OPENRTMP_LOG_*.
    uint32_t level;
    // The part of the library.
    openrtmp_str target;
    // The message.
    openrtmp_str message;
    // What it is about (peer, stream, ...), as a JSON object of texts; empty if
    // nothing.
    openrtmp_str fields;
    // Records lost before this one because the callback was too slow.
    uint64_t lost;
    // The server that it is of, as openrtmp_server_id() tells; 0: none, or not known.
    uint64_t server_id;
} openrtmp_log_record;

// Who takes log records.
typedef struct openrtmp_log_callbacks {
    // sizeof(openrtmp_log_callbacks).
    uint32_t struct_size;
    // The least important level wanted (OPENRTMP_LOG_*).
    uint32_t max_level;
    // Handed to each callback.
    void *OPENRTMP_NULLABLE user_data;
    // A record. Must not be NULL.
    void (*on_record)(void *OPENRTMP_NULLABLE user_data,
                      const struct openrtmp_log_record *record);
    // The last call. May be NULL.
    void (*OPENRTMP_NULLABLE on_closed)(void *OPENRTMP_NULLABLE user_data);
} openrtmp_log_callbacks;

// One stream. Lives as long as the visit.
typedef struct openrtmp_stream_info {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // 1 while it has a publisher, 0 within the grace after that left.
    uint32_t live;
    // Which.
    uint64_t stream_id;
    // Its path, for example "live/cam", keys masked, as in "live/***1f3a";
    // openrtmp_server_stream_name() tells the whole.
    openrtmp_str name;
    // Codec strings (RFC 6381) of its tracks, with commas between them.
    openrtmp_str codecs;
    // Pixels of the first video track, 0 if not known.
    uint32_t width;
    // Pixels of the first video track, 0 if not known.
    uint32_t height;
    // Since it began.
    uint64_t uptime_ms;
    // Payload bytes published.
    uint64_t bytes;
    // Bit/s published, over the last seconds.
    uint64_t bitrate;
    // Video frames.
    uint64_t video_frames;
    // Audio frames.
    uint64_t audio_frames;
    // Key frames.
    uint64_t keyframes;
    // Players.
    uint64_t subscribers;
    // Who publishes it; 0: an openrtmp_publisher, or nobody.
    uint64_t connection_id;
    // Taps on it, recordings included.
    uint64_t taps;
    // From a frame's arrival to its last byte handed to a player's socket, half of all
    // frames of the last one to two minutes, to within a quarter.
    uint64_t delay_p50_us;
    // 95 % of them.
    uint64_t delay_p95_us;
    // 99 % of them.
    uint64_t delay_p99_us;
    // How many they are, all players together.
    uint64_t delay_frames;
} openrtmp_stream_info;

// One connection. Lives as long as the visit.
typedef struct openrtmp_connection_info {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Which.
    uint64_t connection_id;
    // The peer's address and port.
    openrtmp_str peer;
    // How far it has come: "handshake", "connect", "connected", "publishing", "playing".
    openrtmp_str stage;
    // Since it was accepted.
    uint64_t uptime_ms;
    // Bytes read.
    uint64_t bytes_in;
    // Bytes written.
    uint64_t bytes_out;
    // Bytes waiting to be written.
    uint64_t queue_bytes;
    // A stream that it publishes; 0: none. The JSON of openrtmp_server_metrics_json() has
    // all, where it is more than one.
    uint64_t publishes;
    // A stream that it plays; 0: none.
    uint64_t plays;
} openrtmp_connection_info;

// One player of a stream. Lives as long as the visit.
typedef struct openrtmp_subscriber_info {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Its connection.
    uint64_t connection_id;
    // Packets waiting to be written.
    uint64_t queue_packets;
    // Bytes waiting to be written.
    uint64_t queue_bytes;
    // How long the oldest frame that may be dropped has waited.
    uint64_t queue_delay_ms;
    // Frames it did not get because it was too slow.
    uint64_t dropped_frames;
    // From play to the first key frame queued; UINT64_MAX before that.
    uint64_t join_ms;
    // Messages of streams that its connection was sent whole.
    uint64_t messages;
    // Their payload's bytes.
    uint64_t bytes;
    // From a frame's arrival to its last byte handed to the socket, half of the frames that
    // its connection was sent in the last one to two minutes, to within a quarter.
    uint64_t delay_p50_us;
    // 95 % of them.
    uint64_t delay_p95_us;
    // 99 % of them.
    uint64_t delay_p99_us;
    // How many they are.
    uint64_t delay_frames;
} openrtmp_subscriber_info;

// One tap. Lives as long as the visit.
typedef struct openrtmp_tap_info {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // 1: a recorder's; 0: an openrtmp_tap.
    uint32_t recording;
    // The stream that it is on, its path, keys masked; empty: every stream, or several.
    openrtmp_str stream;
    // Streams that are live for it.
    uint64_t live;
    // Bytes that wait to be taken.
    uint64_t waiting_bytes;
} openrtmp_tap_info;

// One publisher at work. Lives as long as the visit.
typedef struct openrtmp_publisher_info {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // The stream.
    uint64_t stream_id;
    // Its path, keys masked.
    openrtmp_str stream;
    // Which connection publishes it; 0: an openrtmp_publisher.
    uint64_t connection_id;
    // How long nothing has come from it, once that is "streams.publisher_timeout" and
    // another may have its place; 0 until then.
    uint64_t silence_ms;
} openrtmp_publisher_info;

// A server at one moment. Counters grow from its start.
typedef struct openrtmp_metrics {
    // sizeof(openrtmp_metrics).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Since the start.
    uint64_t uptime_ms;
    // Connections now.
    uint64_t connections;
    // Publishers now, those of openrtmp_publisher_open() included.
    uint64_t publishers;
    // Players now, waiting ones included.
    uint64_t subscribers;
    // Streams now.
    uint64_t streams;
    // Connections accepted.
    uint64_t accepted;
    // Connections refused at a limit.
    uint64_t refused;
    // Bytes read from sockets.
    uint64_t bytes_in;
    // Bytes written to sockets.
    uint64_t bytes_out;
    // Bit/s read, over the last seconds.
    uint64_t bitrate_in;
    // Bit/s written, over the last seconds.
    uint64_t bitrate_out;
    // Frames that slow players did not get.
    uint64_t dropped_frames;
    // Bytes held for peers.
    uint64_t memory;
    // Peers that broke the protocol.
    uint64_t errors_protocol;
    // Peers that did not get on in time.
    uint64_t errors_timeout;
    // Sockets that failed.
    uint64_t errors_network;
    // Requests refused.
    uint64_t errors_refused;
    // Players disconnected for taking nothing.
    uint64_t errors_too_slow;
    // Bugs of this library, caught.
    uint64_t errors_internal;
    // From a frame's arrival to its last byte handed to a player's socket, half of all
    // frames of the last one to two minutes, to within a quarter.
    uint64_t delay_p50_us;
    // 95 % of them.
    uint64_t delay_p95_us;
    // 99 % of them.
    uint64_t delay_p99_us;
    // How many they are.
    uint64_t delay_frames;
    // Of errors_refused, those that came with a wrong key, or with none where one is
    // needed.
    uint64_t errors_wrong_keys;
    // Rules by which streams are relayed, now.
    uint64_t relays_rules;
    // Streams of theirs that are tried again soon.
    uint64_t relays_waiting;
    // Those whose connection is being made.
    uint64_t relays_connecting;
    // Those that the other server granted.
    uint64_t relays_running;
    // Those for which nothing is tried.
    uint64_t relays_parked;
    // Connections to other servers that relays tried.
    uint64_t relays_attempts;
    // Those that failed or broke.
    uint64_t relays_failures;
    // Messages of media that came from other servers.
    uint64_t relays_messages_in;
    // Those that were passed on to other servers.
    uint64_t relays_messages_out;
    // Messages of a type that is not known, left out.
    uint64_t ignored_unknown;
    // Commands that cannot be read, left out.
    uint64_t ignored_unreadable;
    // Media where nothing is published, more of it than may wait, and data that no player
    // can read, left out.
    uint64_t ignored_dropped;
    // Log records that were held back ("limits.log_lines").
    uint64_t log_lines_suppressed;
} openrtmp_metrics;

// What is delivered over HTTP, at one moment.
typedef struct openrtmp_http_stats {
    // sizeof(openrtmp_http_stats).
    uint32_t struct_size;
    // Addresses that it listens on.
    uint32_t listeners;
    // Connections of viewers now.
    uint64_t connections;
    // Those since the start.
    uint64_t accepted;
    // Streams that can be fetched, or come to be.
    uint64_t streams;
    // Bytes that are kept of them.
    uint64_t stream_bytes;
    // Bytes that are kept for answers alone that viewers have not taken.
    uint64_t answer_bytes;
    // Bytes of segments in files ("http.dvr.directory").
    uint64_t file_bytes;
} openrtmp_http_stats;

// A rule by which streams are relayed.
typedef struct openrtmp_relay {
    // sizeof(openrtmp_relay).
    uint32_t struct_size;
    // OPENRTMP_RELAY_PUSH, OPENRTMP_RELAY_PULL or OPENRTMP_RELAY_PULL_ALWAYS.
    uint32_t kind;
    // Which streams, by their paths here: "live/*", where each "*" stands for any
    // characters.
    openrtmp_str pattern;
    // The other server: "rtmp://host/app/name", in which "{app}" and "{name}" stand for the
    // stream's, percent-encoded.
    openrtmp_str url;
    // OPENRTMP_RELAY_PULL: so long after the last player left the other server is left,
    // too.
    uint64_t idle_timeout_ms;
} openrtmp_relay;

// One relayed stream, or a rule that has none. Lives as long as the visit.
typedef struct openrtmp_relay_info {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // As openrtmp_relay has it; both kinds of pull are OPENRTMP_RELAY_PULL.
    uint32_t kind;
    // The rule.
    uint64_t relay_id;
    // 1 if the settings name the rule, 0 if openrtmp_relay_add() made it.
    uint32_t configured;
    // OPENRTMP_RELAY_WAITING and following; OPENRTMP_RELAY_PARKED if stream is empty.
    uint32_t state;
    // Which streams the rule is about.
    openrtmp_str pattern;
    // The other server, without names of streams and queries, which may be keys.
    openrtmp_str url;
    // The stream's path, keys masked; empty: the rule has none at present.
    openrtmp_str stream;
    // The connection to the other server, 0 while there is none.
    uint64_t connection_id;
    // Until it is tried again.
    uint64_t wait_ms;
    // Connections that were tried.
    uint64_t attempts;
    // Those that failed or broke.
    uint64_t failures;
    // What the last failure was.
    openrtmp_str last_error;
} openrtmp_relay_info;

// One frame of one track. Read only. Lives as long as the callback, or, once
// retained, until it is released.
typedef struct openrtmp_frame {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // OPENRTMP_MEDIA_*.
    uint32_t kind;
    // FourCC, first character in the most significant byte; 0 for data and for what
    // cannot be read.
    uint32_t codec;
    // OPENRTMP_FRAME_*, combined.
    uint32_t flags;
    // Track; 0 is the default track.
    uint32_t track;
    // 0.
    uint32_t reserved;
    // The stream.
    uint64_t stream_id;
    // Its path, for example "live/cam", keys masked, as in "live/***1f3a";
    // openrtmp_server_stream_name() tells the whole.
    openrtmp_str stream;
    // Decoding time on the stream's clock.
    int64_t dts_us;
    // Presentation time on the stream's clock.
    int64_t pts_us;
    // The codec's bytes: H.264 and H.265 as NAL units with length prefixes, AAC
    // without ADTS, data as AMF0 values.
    const uint8_t *payload;
    // Bytes.
    size_t payload_length;
    // Frames of this stream that this tap has lost so far because it was too slow.
    uint64_t dropped;
} openrtmp_frame;

// What a tap did not get. Lives as long as the callback.
typedef struct openrtmp_loss {
    // Size of the struct that the library fills.
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Frames; those of several tracks in one message count as one.
    uint64_t frames;
    // Their bytes.
    uint64_t bytes;
    // Decoding time of the earliest, on the stream's clock.
    int64_t from_us;
    // Decoding time of the latest.
    int64_t to_us;
} openrtmp_loss;

// What a tap calls back, on a thread of its own. Only on_frame must not be NULL.
typedef struct openrtmp_tap_callbacks {
    // sizeof(openrtmp_tap_callbacks).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Handed to each callback.
    void *OPENRTMP_NULLABLE user_data;
    // A frame. When it returns too late, video up to a later key frame is dropped,
    // as for any slow player ("queue" in the settings), and everything at twice that;
    // nobody else waits.
    void (*on_frame)(void *OPENRTMP_NULLABLE user_data,
                     const struct openrtmp_frame *frame);
    // A stream has a publisher; its frames follow.
    void (*OPENRTMP_NULLABLE on_started)(void *OPENRTMP_NULLABLE user_data,
                                         uint64_t stream_id,
                                         openrtmp_str stream);
    // A stream is over. It may start again.
    void (*OPENRTMP_NULLABLE on_ended)(void *OPENRTMP_NULLABLE user_data,
                                       uint64_t stream_id,
                                       openrtmp_str stream);
    // The last call, after openrtmp_tap_free() or the server's stop. Each stream that
    // on_started told of has had its on_ended by then.
    void (*OPENRTMP_NULLABLE on_closed)(void *OPENRTMP_NULLABLE user_data);
    // A stream goes on with another publisher: its own configuration comes, and video
    // starts at a key frame; time goes on.
    void (*OPENRTMP_NULLABLE on_republished)(void *OPENRTMP_NULLABLE user_data,
                                             uint64_t stream_id,
                                             openrtmp_str stream);
    // Frames are missing since on_frame returned too late. Comes before the frame that
    // follows the gap.
    void (*OPENRTMP_NULLABLE on_lost)(void *OPENRTMP_NULLABLE user_data,
                                      uint64_t stream_id,
                                      openrtmp_str stream,
                                      const struct openrtmp_loss *loss);
} openrtmp_tap_callbacks;

// What a tap has, as the members of openrtmp_tap_callbacks tell it. What it points to
// lives until the next call on the tap; frames that were retained until they are released.
typedef struct openrtmp_tap_item {
    // sizeof(openrtmp_tap_item).
    uint32_t struct_size;
    // OPENRTMP_TAP_*.
    uint32_t kind;
    // The stream.
    uint64_t stream_id;
    // Its path, keys masked.
    openrtmp_str stream;
    // NULL but for OPENRTMP_TAP_FRAME.
    const struct openrtmp_frame *OPENRTMP_NULLABLE frame;
    // NULL but for OPENRTMP_TAP_LOST.
    const struct openrtmp_loss *OPENRTMP_NULLABLE loss;
} openrtmp_tap_item;

// What a decoder configuration says. What it does not say is 0.
typedef struct openrtmp_media_format {
    // sizeof(openrtmp_media_format).
    uint32_t struct_size;
    // Bytes of the length before each NAL unit of a frame: 1, 2 or 4; 0 for codecs without.
    uint32_t length_size;
    // Pixels, cropping applied.
    uint32_t width;
    // The same.
    uint32_t height;
    // Frames per second.
    double frame_rate;
    // Samples per second, as they are heard.
    uint32_t sample_rate;
    // Channels.
    uint32_t channels;
} openrtmp_media_format;

// A track and its decoder configuration.
typedef struct openrtmp_track {
    // sizeof(openrtmp_track).
    uint32_t struct_size;
    // OPENRTMP_MEDIA_AUDIO or OPENRTMP_MEDIA_VIDEO.
    uint32_t kind;
    // Track, 0 to 255; 0 is the default track, the only one many players know.
    uint32_t track;
    // OPENRTMP_FOURCC_*, or another FourCC.
    uint32_t codec;
    // The decoder configuration: for H.264 an AVCDecoderConfigurationRecord, for
    // H.265 an HEVCDecoderConfigurationRecord, for AAC an AudioSpecificConfig, ...
    // NULL for codecs that have none.
    const uint8_t *OPENRTMP_NULLABLE config;
    // Bytes.
    size_t config_length;
    // Time of the first frame it is for.
    int64_t dts_us;
} openrtmp_track;

// A frame to publish.
typedef struct openrtmp_media {
    // sizeof(openrtmp_media).
    uint32_t struct_size;
    // OPENRTMP_MEDIA_AUDIO or OPENRTMP_MEDIA_VIDEO.
    uint32_t kind;
    // Track, 0 to 255, which was configured.
    uint32_t track;
    // OPENRTMP_FRAME_KEY where a decoder can start.
    uint32_t flags;
    // Decoding time, 0 or later. RTMP carries milliseconds.
    int64_t dts_us;
    // Presentation time.
    int64_t pts_us;
    // The codec's bytes: H.264 and H.265 as NAL units with length prefixes, AAC
    // without ADTS.
    const uint8_t *OPENRTMP_NULLABLE payload;
    // Bytes, at most 16 MiB less a header.
    size_t payload_length;
} openrtmp_media;

// What a recording has made.
typedef struct openrtmp_recording {
    // sizeof(openrtmp_recording).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Files that are complete.
    uint64_t files;
    // Time in them.
    uint64_t duration_ms;
    // Bytes in them.
    uint64_t bytes;
    // Frames that are missing because the disk was too slow.
    uint64_t lost_frames;
    // Their bytes.
    uint64_t lost_bytes;
} openrtmp_recording;

// What is called on each thread of the library. Any member may be NULL.
typedef struct openrtmp_thread_hooks_table {
    // sizeof(openrtmp_thread_hooks_table).
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Handed to both. It has to live until every thread has ended.
    void *OPENRTMP_NULLABLE user_data;
    // The first call on a thread, with its name: to attach it to a virtual machine, or
    // to set its priority.
    void (*OPENRTMP_NULLABLE on_begin)(void *OPENRTMP_NULLABLE user_data,
                                       openrtmp_str name);
    // The last call on it.
    void (*OPENRTMP_NULLABLE on_end)(void *OPENRTMP_NULLABLE user_data,
                                     openrtmp_str name);
} openrtmp_thread_hooks_table;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// OPENRTMP_ABI_VERSION of the library that is loaded.
uint32_t openrtmp_abi_version(void);

// OPENRTMP_VERSION of the library that is loaded.
uint32_t openrtmp_version(void);

// The version as text, for example "0.1.0". Static.
const char *openrtmp_version_string(void);

// What a code means, in English. Never NULL; static.
const char *openrtmp_strerror(int32_t code);

// The detail of the last failure on this thread, at most 1,023 bytes; empty if there was
// none. Never NULL. The text is replaced by the next failure on this thread, and always
// stands in the same place.
const char *openrtmp_last_error_message(void);

// Makes settings with the defaults of a profile (OPENRTMP_PROFILE_*). Free them
// with openrtmp_config_free().
int32_t openrtmp_config_new(uint32_t profile,
                            struct openrtmp_config *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_config);

// Frees settings. A server has its own copy.
void openrtmp_config_free(struct openrtmp_config *OPENRTMP_NULLABLE config);

// Takes over what a document (OPENRTMP_FORMAT_*) names and leaves the rest. An
// unknown name or a value out of its range changes nothing; the message names the line,
// the path, the value and what is expected. Durations may be texts such as "10s", sizes
// texts such as "64KiB". null, and an empty group, leave things as they are. At most
// 1 MiB, as every text.
int32_t openrtmp_config_load_text(struct openrtmp_config *config,
                                  openrtmp_str document,
                                  uint32_t format);

// The same from a file, which the message names: YAML if its name ends with .yaml or
// .yml, otherwise JSON.
int32_t openrtmp_config_load_file(struct openrtmp_config *config, openrtmp_str file);

// Sets one value by its dotted path, for example "limits.connections". The value
// is JSON, or, where a text stands, that text as it is, and where a list stands,
// its elements with commas between them: "listen" to "127.0.0.1:0". Durations and sizes
// are as in openrtmp_config_load_text(). A value out of its range changes nothing.
int32_t openrtmp_config_set(struct openrtmp_config *config,
                            openrtmp_str path,
                            openrtmp_str value);

// Writes a value, or a whole group as JSON, by its dotted path.
int32_t openrtmp_config_get(const struct openrtmp_config *config,
                            openrtmp_str path,
                            char *OPENRTMP_NULLABLE buffer,
                            size_t capacity,
                            size_t *OPENRTMP_NULLABLE out_length);

// Writes all settings as a document (OPENRTMP_FORMAT_*) that
// openrtmp_config_load_text() takes. It holds the keys: keep it from strangers.
int32_t openrtmp_config_dump(const struct openrtmp_config *config,
                             uint32_t format,
                             char *OPENRTMP_NULLABLE buffer,
                             size_t capacity,
                             size_t *OPENRTMP_NULLABLE out_length);

// Checks every value, as starting a server does. OPENRTMP_ERROR_CONFIG with path,
// value and what is allowed in the message; OPENRTMP_ERROR_UNSUPPORTED if "http.listen"
// names an address and this library does not deliver.
int32_t openrtmp_config_validate(const struct openrtmp_config *config);

// Makes a server, not yet started. It copies the settings and the table of
// callbacks, which may be NULL. Free it with openrtmp_server_free(). After a failure
// on_closed is not called.
int32_t openrtmp_server_new(const struct openrtmp_config *config,
                            const struct openrtmp_callbacks *OPENRTMP_NULLABLE callbacks,
                            struct openrtmp_server *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_server);

// Stops a server by force if it runs, and frees it. Taps and publishers of it stay
// valid, and are closed. Events that wait are delivered or dropped before it returns, a
// callback that runs is waited for, as is on_closed, for 1 s altogether. If that is not
// enough, or if it is called inside a callback of this server, no other callback begins
// after it, and on_closed follows when that one has returned; until then calls on the
// handle are OPENRTMP_ERROR_STATE. OPENRTMP_ERROR_RECURSIVE inside its own on_closed,
// where there is nothing left to free.
int32_t openrtmp_server_free(struct openrtmp_server *OPENRTMP_NULLABLE server);

// Checks the settings, binds, starts the threads, and returns once peers can
// connect. After a failure nothing is left running, and it may be tried again.
int32_t openrtmp_server_start(struct openrtmp_server *server);

// Puts other settings in force, all of them or, after a failure, none; validates
// first. Visits the paths of the settings that changed; the visitor may be NULL. On a
// stopped server they are for its next start. On a running one they hold when it
// returns, and OPENRTMP_EVENT_CONFIG_CHANGED tells:
// - "workers", "http.listen" and "http.tokens.keys" need a restart:
//   OPENRTMP_ERROR_NEEDS_RESTART names them.
// - "listen": connections stay, whatever address goes. OPENRTMP_ERROR_LISTEN if one
//   cannot be had.
// - "rtmp", but "ping_interval", and "limits.session": for connections that come from
//   now on; "queue.unsent_bytes": for players; "queue.worker_bytes" and
//   "queue.worker_messages": for publishers and streams.
// - "access": keys that are no longer named are revoked, as by openrtmp_key_revoke();
//   those added or revoked at run time stay so.
// - "record": what is being recorded is completed first, which may take 5 s.
// - Everything else holds at once; lower limits close nobody.
int32_t openrtmp_server_reconfigure(struct openrtmp_server *server,
                                    const struct openrtmp_config *config,
                                    openrtmp_visit_text OPENRTMP_NULLABLE visit,
                                    void *OPENRTMP_NULLABLE user_data);

// Makes a copy of the settings in force, or, while it is stopped, of those for its
// next start: to change some and hand it to openrtmp_server_reconfigure(). Keys that
// were added or revoked at run time are not in it. Free it with
// openrtmp_config_free().
int32_t openrtmp_server_config(const struct openrtmp_server *server,
                               struct openrtmp_config *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_config);

// Stops: no new connections from now on; peers are told and have grace_ms to leave; then they
// are closed; recordings are completed; events are delivered. 0 forces at once, and cuts short
// a stop that another thread waits in. Returns when it is done, at the latest 1 s after the
// grace, 1.5 s if it delivers over HTTP, and up to 5 s more while the disk of
// "http.dvr.directory" removes files: what has not ended then is counted in the summary, events
// not delivered are dropped, and no callback begins any more. Then openrtmp_server_start() may
// start it again. The summary may be NULL.
// OPENRTMP_ERROR_RECURSIVE inside a callback of this server.
int32_t openrtmp_server_stop(struct openrtmp_server *server,
                             uint64_t grace_ms,
                             struct openrtmp_summary *OPENRTMP_NULLABLE out_summary);

// Tells that the program goes to the background (1), or comes back (0). There writes to
// players are collected for at least "queue.background_coalesce", and publishers are read as
// rarely, to save power. Holds until the server is stopped.
int32_t openrtmp_server_set_background(struct openrtmp_server *server,
                                       uint32_t background);

// Writes a number that names the server in log records: of no other in this process.
int32_t openrtmp_server_id(const struct openrtmp_server *server, uint64_t *out_id);

// Writes the state (OPENRTMP_STATE_*).
int32_t openrtmp_server_state(const struct openrtmp_server *server, uint32_t *out_state);

// Tells whether the server works, and visits the reasons why not. The visitor may be
// NULL.
int32_t openrtmp_server_health(const struct openrtmp_server *server,
                               struct openrtmp_health *out_health,
                               openrtmp_visit_text OPENRTMP_NULLABLE visit,
                               void *OPENRTMP_NULLABLE user_data);

// Writes the port of the address at an index of "listen", the real one where 0 was
// asked for. OPENRTMP_ERROR_NOT_FOUND beyond the last, OPENRTMP_ERROR_STATE while it is
// stopped.
int32_t openrtmp_server_port(const struct openrtmp_server *server,
                             uint32_t index,
                             uint32_t *out_port);

// Writes the address and port at an index of "listen", for example "0.0.0.0:1935".
int32_t openrtmp_server_address(const struct openrtmp_server *server,
                                uint32_t index,
                                char *OPENRTMP_NULLABLE buffer,
                                size_t capacity,
                                size_t *OPENRTMP_NULLABLE out_length);

// Visits the URLs under which other devices, then this one, reach a stream
// ("app/name", or empty for the server itself): one for each address of each network
// interface that it listens on.
int32_t openrtmp_server_urls(const struct openrtmp_server *server,
                             openrtmp_str stream,
                             openrtmp_visit_text visit,
                             void *OPENRTMP_NULLABLE user_data);

// Tells that the program goes to the background, where the system lets it run for
// remaining_ms; UINT64_MAX: it did not say. Writes to players are collected from now on,
// and "mobile.background" says what else happens. OPENRTMP_EVENT_BACKGROUND.
int32_t openrtmp_host_background(struct openrtmp_server *server, uint64_t remaining_ms);

// Tells how much of that time is left. OPENRTMP_EVENT_REMAINING_TIME at 20, 10 and 5 s,
// OPENRTMP_ORDER_SUSPEND_NOW once it is "mobile.suspend_margin".
int32_t openrtmp_host_remaining_time(struct openrtmp_server *server,
                                     uint64_t remaining_ms);

// Tells that the program is about to be frozen: listening sockets are closed first, so
// that nobody connects into nothing; peers are told, connections closed, recordings
// synced. Streams stay, and taps on them, for "mobile.network_grace" or
// "streams.republish_grace", whichever is longer; that time stands still until
// openrtmp_host_resume(). Waits at most within_ms, of which 700 are enough. A server that
// is suspended already stays so. The report may be NULL. May be called in callbacks.
// Delivery over HTTP is not suspended: stop a server that delivers.
int32_t openrtmp_host_suspend(struct openrtmp_server *server,
                              uint64_t within_ms,
                              struct openrtmp_suspend_report *OPENRTMP_NULLABLE out_report);

// Tells that the program runs again, after it was away for away_ms by the clock on the
// wall: after openrtmp_host_suspend(), and, since systems suspend without a word, whenever
// it comes to the front. Listeners are bound again on the same ports, or looked after;
// connections are closed that the system took the sockets of; addresses are listed anew.
// Waits at most 2 s; what failed is tried on, and events tell of it. The report may be
// NULL. May be called in callbacks.
int32_t openrtmp_host_resume(struct openrtmp_server *server,
                             uint64_t away_ms,
                             struct openrtmp_resume_report *OPENRTMP_NULLABLE out_report);

// Tells that the program is in front.
int32_t openrtmp_host_foreground(struct openrtmp_server *server);

// Tells the networks that the system says there are, all of them each time; NULL and 0:
// none. 200 ms after the last word about it addresses are listed anew, listeners looked
// after, and events told of what is different. All structs have the same struct_size.
int32_t openrtmp_host_network(struct openrtmp_server *server,
                              const struct openrtmp_network *OPENRTMP_NULLABLE networks,
                              size_t count);

// Tells what the user says about a permission (OPENRTMP_PERMISSION_LOCAL_NETWORK and so
// on; OPENRTMP_PERMISSION_UNKNOWN and so on). One that was refused is a reason not to be
// ready (openrtmp_server_health()); of one that the user was not asked for yet
// OPENRTMP_ORDER_ASK_PERMISSION reminds.
int32_t openrtmp_host_permission(struct openrtmp_server *server,
                                 uint32_t permission,
                                 uint32_t state);

// Tells how the device is off for power: low_power and device_idle are 0 or 1, thermal is
// OPENRTMP_THERMAL_*. With little power, or much heat, writes to players are collected, and
// what publishers send is left with the system, for up to 350 ms.
int32_t openrtmp_host_power(struct openrtmp_server *server,
                            uint32_t low_power,
                            uint32_t device_idle,
                            uint32_t thermal);

// Tells how the device is off for memory (OPENRTMP_MEMORY_*).
int32_t openrtmp_host_memory(struct openrtmp_server *server, uint32_t level);

// Tells that the program plays audible sound (1), or no longer (0): with
// "mobile.background" = "audio" the server goes on without video in the background
// meanwhile.
int32_t openrtmp_host_audio(struct openrtmp_server *server, uint32_t active);

// Tells what became of the service that OPENRTMP_ORDER_SERVICE asked for
// (OPENRTMP_SERVICE_STARTED and so on).
int32_t openrtmp_host_service(struct openrtmp_server *server, uint32_t state);

// Asks the system whether the listening sockets are there still, without any traffic, and
// binds those again that are not. Waits at most 1 s. The report may be NULL.
int32_t openrtmp_server_check_listeners(struct openrtmp_server *server,
                                        struct openrtmp_resume_report *OPENRTMP_NULLABLE out_report);

// Visits the URLs under which other devices reach a stream ("app/name", or empty for the
// server itself), the best first. flags: OPENRTMP_REACHABLE_* added, for those that are
// left out otherwise. Addresses are listed each time: to be called again every few
// seconds while the URLs are shown, since no system tells of a hotspot that it opens.
int32_t openrtmp_server_reachable(const struct openrtmp_server *server,
                                  openrtmp_str stream,
                                  uint32_t flags,
                                  void (*visit)(void *OPENRTMP_NULLABLE user_data,
                                                const struct openrtmp_reachable_info *url),
                                  void *OPENRTMP_NULLABLE user_data);

// Tells what the server costs in power. OPENRTMP_ERROR_TIMEOUT if a worker thread is busy
// for more than 1 s.
int32_t openrtmp_server_power_stats(const struct openrtmp_server *server,
                                    struct openrtmp_power_stats *out_stats);

// Goes out of service and stops, without cutting anybody off before grace_ms are over. Nobody
// new is taken: who connects, or asks to publish or play, is refused and told that the server
// is being drained, and, where "to" names a server, to go there (ex.redirect of
// NetConnection.Connect.Rejected). Peers that announced that they know it are asked to connect
// again (Enhanced RTMP v2), where "to" says: the URL of an app, "rtmp://host/app", in which
// "{app}" stands for the app that a peer is in, or of a server alone, which leads to the same
// app; empty: at the address that they know. All others go on until they leave; viewers over
// HTTP are served until then. When all peers have left, or after the grace, it stops as
// openrtmp_server_stop() does with 0, which cuts it short when called from another thread.
// Returns when it is done, as long after the grace as openrtmp_server_stop() at the latest;
// meanwhile the state is OPENRTMP_STATE_STOPPING, and openrtmp_server_health() says that it is
// not ready. The summary may be NULL. OPENRTMP_ERROR_RECURSIVE inside a callback of this server.
int32_t openrtmp_server_drain(struct openrtmp_server *server,
                              uint64_t grace_ms,
                              openrtmp_str to,
                              struct openrtmp_summary *OPENRTMP_NULLABLE out_summary);

// Opens a queue of a server's events, for a host that fetches them: from the next start
// on, and through all that follow. Several may be open, beside on_event. A queue that
// falls 4,096 events behind, or 4 MiB of them, loses some, and tells how many where they are missing
// (OPENRTMP_EVENT_LOST). OPENRTMP_ERROR_STATE while the server is not stopped. Close it
// with openrtmp_events_close(), before or after the server is freed.
int32_t openrtmp_events_open(struct openrtmp_server *server,
                             struct openrtmp_events *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_events);

// Waits up to timeout_ms for the next event, and lends it until the next call on this
// queue. One thread at a time may fetch. OPENRTMP_ERROR_TIMEOUT if none came,
// OPENRTMP_ERROR_STATE once the server was freed and all were told.
int32_t openrtmp_events_next(struct openrtmp_events *events,
                             uint32_t timeout_ms,
                             const struct openrtmp_event *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_event);

// Writes what an event loop may wait for: a file descriptor, on Windows a SOCKET, which
// is readable while openrtmp_events_next() has something to tell. It belongs to the queue:
// it is neither read nor closed.
int32_t openrtmp_events_descriptor(struct openrtmp_events *events,
                                   ptrdiff_t *out_descriptor);

// Closes a queue and frees it, and the event that it lent.
void openrtmp_events_close(struct openrtmp_events *OPENRTMP_NULLABLE events);

// Grants a request. OPENRTMP_ERROR_NOT_FOUND if it was answered, its time is over, or the
// peer has left.
int32_t openrtmp_request_accept(struct openrtmp_server *server, uint64_t request_id);

// Grants a request under another name: the stream is published, or played, as this path
// ("app/name"), and the one that was asked for is shown no more; it may have been a key. A
// path that names nothing is OPENRTMP_ERROR_INVALID_ARGUMENT, and the request still waits.
// Of OPENRTMP_ACCESS_CONNECT it changes nothing. Fails else as openrtmp_request_accept().
int32_t openrtmp_request_accept_as(struct openrtmp_server *server,
                                   uint64_t request_id,
                                   openrtmp_str path);

// Leaves a request to the rules of the settings, which have nothing against it: it is granted,
// and says nothing of who asks ("access.failed_attempts"), where openrtmp_request_accept()
// makes earlier failures of that address forgotten. Fails as openrtmp_request_accept().
int32_t openrtmp_request_pass(struct openrtmp_server *server,
                              uint64_t request_id);

// Refuses a request because it cannot be decided at the moment, which is not held against who
// asks ("access.failed_attempts"); the peer sees the reason. Fails as
// openrtmp_request_accept().
int32_t openrtmp_request_fail(struct openrtmp_server *server,
                              uint64_t request_id,
                              openrtmp_str reason);

// Says that the last segment of the name in a request is a key: it is not shown in
// logs, events, numbers and file names, as long as the server knows of the stream. To be
// called before the answer, whatever that is. "access.secret_names" says so of all.
// OPENRTMP_ERROR_NOT_FOUND if the request was answered, or its time is over.
int32_t openrtmp_request_mark_secret(struct openrtmp_server *server, uint64_t request_id);

// Refuses a request; the peer sees the reason. Fails as openrtmp_request_accept().
int32_t openrtmp_request_reject(struct openrtmp_server *server,
                                uint64_t request_id,
                                openrtmp_str reason);

// Sends the log records of all servers of the process to a callback, on a thread of
// its own, in place of the one before; NULL: to nobody. Waits at most 1 s until the one
// before is done with what it has, and has had its on_closed: OPENRTMP_ERROR_TIMEOUT if
// that is still to come, the new one being in place. OPENRTMP_ERROR_RECURSIVE inside
// a log callback; OPENRTMP_ERROR_STATE if the program, written in Rust, has a logger.
// After another failure the one before stays, and on_closed of the new one is not called.
int32_t openrtmp_log_set(const struct openrtmp_log_callbacks *OPENRTMP_NULLABLE callbacks);

// Sends the log records of one server, those of its start and stop included, to a
// callback of its own, besides that of openrtmp_log_set(), until the server is freed.
// Works and fails as openrtmp_log_set().
int32_t openrtmp_server_log_set(struct openrtmp_server *server,
                                const struct openrtmp_log_callbacks *OPENRTMP_NULLABLE callbacks);

// Sends the log records of all servers of the process to the system's log, up to a level
// (OPENRTMP_LOG_*; 0: none from now on), besides any callback: os_log on Apple's systems, in
// the subsystem "org.openrtmp" and all of it public, Logcat on Android's, under the tag
// "OpenRTMP". OPENRTMP_ERROR_STATE if there is none on this system, if the library was built
// without it (features "oslog" and "android_logger"), or if the program, written in Rust, has
// a logger.
int32_t openrtmp_log_to_system(uint32_t max_level);

// Visits the streams, on the calling thread, before it returns. All of them:
// OPENRTMP_ERROR_TIMEOUT, and no visit, if a worker thread is busy for more than 1 s.
int32_t openrtmp_server_streams(const struct openrtmp_server *server,
                                void (*visit)(void *OPENRTMP_NULLABLE user_data,
                                              const struct openrtmp_stream_info *stream),
                                void *OPENRTMP_NULLABLE user_data);

// Visits the connections, on the calling thread, before it returns. All of them:
// OPENRTMP_ERROR_TIMEOUT, and no visit, if a worker thread is busy for more than 1 s.
int32_t openrtmp_server_connections(const struct openrtmp_server *server,
                                    void (*visit)(void *OPENRTMP_NULLABLE user_data,
                                                  const struct openrtmp_connection_info *connection),
                                    void *OPENRTMP_NULLABLE user_data);

// Visits the players of a stream ("app/name"), on the calling thread, before it
// returns. OPENRTMP_ERROR_NOT_FOUND if there is no such stream; OPENRTMP_ERROR_TIMEOUT as
// openrtmp_server_streams().
int32_t openrtmp_server_subscribers(const struct openrtmp_server *server,
                                    openrtmp_str stream,
                                    void (*visit)(void *OPENRTMP_NULLABLE user_data,
                                                  const struct openrtmp_subscriber_info *subscriber),
                                    void *OPENRTMP_NULLABLE user_data);

// Visits the taps that are open, on the calling thread, before it returns: those of
// openrtmp_tap_open(), and those of recordings. Waits for nobody.
int32_t openrtmp_tap_list(const struct openrtmp_server *server,
                          void (*visit)(void *OPENRTMP_NULLABLE user_data,
                                        const struct openrtmp_tap_info *tap),
                          void *OPENRTMP_NULLABLE user_data);

// Visits the publishers at work, connections and those of openrtmp_publisher_open(), on
// the calling thread, before it returns. Waits for nobody.
int32_t openrtmp_publisher_list(const struct openrtmp_server *server,
                                void (*visit)(void *OPENRTMP_NULLABLE user_data,
                                              const struct openrtmp_publisher_info *publisher),
                                void *OPENRTMP_NULLABLE user_data);

// Ends a connection, publishing or playing. OPENRTMP_ERROR_NOT_FOUND if there is none
// of this id, or no longer; OPENRTMP_ERROR_TIMEOUT if its worker thread is busy for more
// than 1 s, which ends it all the same. The reason is for logs and events.
int32_t openrtmp_server_disconnect(struct openrtmp_server *server,
                                   uint64_t connection_id,
                                   openrtmp_str reason);

// Collects packets for one player for 0 to 350 ms before they are written together, in
// place of "queue.write_coalesce"; or OPENRTMP_COALESCE_DEFAULT. It may be set as soon
// as the connection is there. OPENRTMP_ERROR_NOT_FOUND if there is none of this id, or
// no longer.
int32_t openrtmp_server_set_write_coalesce(struct openrtmp_server *server,
                                           uint64_t connection_id,
                                           uint32_t window_ms);

// Ends a stream ("app/name"): the connection that publishes it is closed, or, if that
// is an openrtmp_publisher, its next write is OPENRTMP_ERROR_GONE. Returns before
// that; events tell when it is done.
int32_t openrtmp_server_end_stream(struct openrtmp_server *server,
                                   openrtmp_str stream,
                                   openrtmp_str reason);

// openrtmp_server_end_stream() of a stream by its id.
int32_t openrtmp_server_end_stream_id(struct openrtmp_server *server,
                                      uint64_t stream_id,
                                      openrtmp_str reason);

// Writes the whole name of a stream, key included where it is one: what events, frames
// and the visit of streams mask. OPENRTMP_ERROR_NOT_FOUND once nobody publishes, plays,
// taps or waits for it.
int32_t openrtmp_server_stream_name(const struct openrtmp_server *server,
                                    uint64_t stream_id,
                                    char *OPENRTMP_NULLABLE buffer,
                                    size_t capacity,
                                    size_t *OPENRTMP_NULLABLE out_length);

// Takes the numbers. Asks each worker thread, and waits at most 1 s for one that is
// busy.
int32_t openrtmp_server_metrics(const struct openrtmp_server *server,
                                struct openrtmp_metrics *out_metrics);

// Writes all numbers, those of each worker, stream, connection and player too, as a
// JSON object. They change from call to call: give the buffer room to spare.
int32_t openrtmp_server_metrics_json(const struct openrtmp_server *server,
                                     char *OPENRTMP_NULLABLE buffer,
                                     size_t capacity,
                                     size_t *OPENRTMP_NULLABLE out_length);

// Writes the numbers of the server and of its streams as text for Prometheus (text format
// 0.0.4). "metrics.streams" streams have series of their own, those that came first; the
// others share series. In labels stands what the names of streams show: keys masked, cut
// after 128 characters, nothing that could be taken for another line. They change from call
// to call: give the buffer room to spare.
int32_t openrtmp_server_metrics_text(const struct openrtmp_server *server,
                                     char *OPENRTMP_NULLABLE buffer,
                                     size_t capacity,
                                     size_t *OPENRTMP_NULLABLE out_length);

// Writes the port of an address that it listens on, by their order in "http.listen", the real
// one where 0 was asked for; "auto" is none, nor is one of IPv6 on a device without it.
// OPENRTMP_ERROR_NOT_FOUND beyond the last, OPENRTMP_ERROR_STATE while the server is stopped.
// While it runs this function and its kin are OPENRTMP_ERROR_UNSUPPORTED in a library that
// does not deliver.
int32_t openrtmp_server_http_port(const struct openrtmp_server *server,
                                  uint32_t index,
                                  uint32_t *out_port);

// Visits the URLs under which other devices, then this one, reach a form (OPENRTMP_FORM_*)
// of a stream ("app/name", or empty for the page of all). Whether there is such a stream,
// and whether it takes a key, is not asked.
int32_t openrtmp_server_http_urls(const struct openrtmp_server *server,
                                  openrtmp_str stream,
                                  uint32_t form,
                                  openrtmp_visit_text visit,
                                  void *OPENRTMP_NULLABLE user_data);

// Takes the numbers of what is delivered over HTTP.
int32_t openrtmp_server_http_stats(const struct openrtmp_server *server,
                                   struct openrtmp_http_stats *out_stats);

// Writes a token for a viewer of a stream ("live/cam") that is not public: what stands in
// "/v/TOKEN/live/cam/index.m3u8", or in "Authorization: Bearer TOKEN". secret is one of
// "http.tokens.keys", of this server or of another, 16 bytes or more; a server believes such a
// token and asks nobody. It is good until so many seconds since 1970, and from an address or a
// network ("192.0.2.7", "2001:db8::/64"; empty: from anywhere). flags are OPENRTMP_TOKEN_* or
// 0. OPENRTMP_ERROR_INVALID_ARGUMENT of anything of which no token can be made,
// OPENRTMP_ERROR_UNSUPPORTED in a library that does not deliver.
int32_t openrtmp_http_token(openrtmp_str secret,
                            openrtmp_str stream,
                            uint32_t flags,
                            uint64_t expires,
                            openrtmp_str address,
                            char *OPENRTMP_NULLABLE buffer,
                            size_t capacity,
                            size_t *OPENRTMP_NULLABLE out_length);

// Adds a key of a kind (OPENRTMP_KEY_*) to a running server. Once there is one, peers
// without a key are refused. A peer gives one: the first "key" or "token" of the query
// ("name?key=KEY", "app?key=KEY"), or, without one, the last segment of the name.
int32_t openrtmp_key_add(struct openrtmp_server *server, uint32_t kind, openrtmp_str key);

// Takes a key away. What is being published that it opened ends; so does what is being
// played, unless access.revoke_ends_play is false. Without the last key nobody may: taking
// a key away opens nothing.
int32_t openrtmp_key_revoke(struct openrtmp_server *server,
                            uint32_t kind,
                            openrtmp_str key);

// Visits the keys of a kind. They are secrets.
int32_t openrtmp_key_list(const struct openrtmp_server *server,
                          uint32_t kind,
                          openrtmp_visit_text visit,
                          void *OPENRTMP_NULLABLE user_data);

// Writes a new key of 128 random bits, 32 characters; it is not added anywhere.
int32_t openrtmp_key_generate(char *OPENRTMP_NULLABLE buffer,
                              size_t capacity,
                              size_t *OPENRTMP_NULLABLE out_length);

// Relays streams of a running server from now on, beside what the settings ("relay.push",
// "relay.pull") say: those that are published or played already, too. Each relayed stream is
// a connection of its own, which counts in limits.connections; what fails is tried
// again after 0.5 to 30 s, and the stream and its players notice nothing of it. Events
// tell what becomes of it. What is written to out_relay_id names the rule.
int32_t openrtmp_relay_add(struct openrtmp_server *server,
                           const struct openrtmp_relay *relay,
                           uint64_t *out_relay_id);

// Ends a rule that openrtmp_relay_add() made, and its connections.
// OPENRTMP_ERROR_NOT_FOUND if there is none, or the settings made it.
int32_t openrtmp_relay_remove(struct openrtmp_server *server, uint64_t relay_id);

// Visits the relayed streams, and the rules that have none at present, those of the
// settings among them, on the calling thread, before it returns. Waits for nobody.
int32_t openrtmp_relay_list(const struct openrtmp_server *server,
                            void (*visit)(void *OPENRTMP_NULLABLE user_data,
                                          const struct openrtmp_relay_info *relay),
                            void *OPENRTMP_NULLABLE user_data);

// Gives the server a certificate, as PEM text: it with those between it and its authority
// behind it, and its private key. It takes the place of "tls.certificate" and "tls.key",
// before a start too; of a running server, for those who connect from now on: connections
// go on as they are. OPENRTMP_ERROR_IO tells what is wrong with it, and the one in use
// stays.
int32_t openrtmp_tls_set_certificate(struct openrtmp_server *server,
                                     openrtmp_str chain,
                                     openrtmp_str key);

// Shows a certificate, as PEM text, to the authority that asks whether name leads here, by
// TLS-ALPN-01 (RFC 8737), from now on: one for that name alone, signed with its own key,
// with the extension acmeIdentifier. It is shown to clients that offer acme-tls/1 and
// nothing else; all others are served as always. An empty chain ends it. A server with names in
// "tls.acme.domains" starts without a certificate; what an authority gave goes to
// "tls.acme.storage" or to openrtmp_tls_set_certificate(). OPENRTMP_ERROR_IO tells what is
// wrong.
int32_t openrtmp_tls_set_challenge(struct openrtmp_server *server,
                                   openrtmp_str name,
                                   openrtmp_str chain,
                                   openrtmp_str key);

// Reads the files again that the settings of TLS name, for those who connect from now on:
// connections go on as they are. OPENRTMP_ERROR_IO tells which file is not right, and
// those in use stay. OPENRTMP_ERROR_STATE if no listener speaks TLS.
int32_t openrtmp_tls_reload(struct openrtmp_server *server);

// Writes the pin of the key of the certificate that is shown to clients that name no host,
// as "tls.client.pins" takes it. OPENRTMP_ERROR_STATE if no listener speaks TLS, or
// there is no certificate yet.
int32_t openrtmp_tls_pin(const struct openrtmp_server *server,
                         char *OPENRTMP_NULLABLE buffer,
                         size_t capacity,
                         size_t *OPENRTMP_NULLABLE out_length);

// Opens a tap on a stream ("app/name"), live or still to come, or, with an empty name,
// on every stream. Headers come first, then frames from the newest key frame on. The
// queue to the callback is bounded as that of a player. With callbacks NULL
// openrtmp_tap_next() fetches what there is. Free it with openrtmp_tap_free(), also after
// the server has stopped.
int32_t openrtmp_tap_open(struct openrtmp_server *server,
                          openrtmp_str stream,
                          const struct openrtmp_tap_callbacks *OPENRTMP_NULLABLE callbacks,
                          struct openrtmp_tap *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_tap);

// Closes a tap and frees it: waits until its callback has returned, on_ended was called
// for each stream that on_started told of, and on_closed, or until 1 s is over:
// OPENRTMP_ERROR_TIMEOUT, and they follow the callback that hangs. OPENRTMP_ERROR_RECURSIVE
// inside a callback of this tap, and then nothing is freed.
int32_t openrtmp_tap_free(struct openrtmp_tap *OPENRTMP_NULLABLE tap);

// Keeps a frame beyond its callback, payload included. Give the result to
// openrtmp_frame_release() once, from any thread. NULL for NULL.
const struct openrtmp_frame *OPENRTMP_NULLABLE openrtmp_frame_retain(const struct openrtmp_frame *OPENRTMP_NULLABLE frame);

// Lets go of a frame that was retained.
void openrtmp_frame_release(const struct openrtmp_frame *OPENRTMP_NULLABLE frame);

// Waits up to timeout_ms for what comes next from a tap that was opened without
// callbacks. One thread at a time may fetch, and nobody while the tap is freed. Whoever
// is slow loses frames, as a callback would. OPENRTMP_ERROR_TIMEOUT if nothing came;
// OPENRTMP_ERROR_GONE once the server has stopped and all was told.
int32_t openrtmp_tap_next(struct openrtmp_tap *tap,
                          uint32_t timeout_ms,
                          struct openrtmp_tap_item *out_item);

// Writes what an event loop may wait for: a file descriptor, on Windows a SOCKET, which
// is readable when openrtmp_tap_next() may have something to tell: then it is to be
// called until it is OPENRTMP_ERROR_TIMEOUT. It belongs to the tap.
int32_t openrtmp_tap_descriptor(struct openrtmp_tap *tap, ptrdiff_t *out_descriptor);

// Writes a frame of H.264, H.265 or H.266 with start codes (Annex B), as many decoders take
// them, in place of the lengths of so many bytes (1 to 4) that openrtmp_frame.payload has:
// openrtmp_decoder_config_format() tells how many. At most 16 MiB - 1. Writes bytes as others
// write text, but without a NUL. OPENRTMP_ERROR_INVALID_ARGUMENT if the bytes are no such units.
int32_t openrtmp_annex_b_of_frame(const uint8_t *OPENRTMP_NULLABLE body,
                                  size_t body_length,
                                  uint32_t length_size,
                                  uint8_t *OPENRTMP_NULLABLE buffer,
                                  size_t capacity,
                                  size_t *OPENRTMP_NULLABLE out_length);

// The other way: units behind start codes, as many encoders give them, with lengths of 4
// bytes in their place, as openrtmp_media.payload has them. OPENRTMP_ERROR_INVALID_ARGUMENT
// if the bytes do not begin with a start code.
int32_t openrtmp_annex_b_to_frame(const uint8_t *OPENRTMP_NULLABLE body,
                                  size_t body_length,
                                  uint8_t *OPENRTMP_NULLABLE buffer,
                                  size_t capacity,
                                  size_t *OPENRTMP_NULLABLE out_length);

// What a decoder configuration says: that of a frame with OPENRTMP_FRAME_CONFIG, by its kind
// and codec. OPENRTMP_ERROR_INVALID_ARGUMENT if it cannot be read.
int32_t openrtmp_decoder_config_format(uint32_t kind,
                                       uint32_t codec,
                                       const uint8_t *OPENRTMP_NULLABLE body,
                                       size_t body_length,
                                       struct openrtmp_media_format *out_format);

// Writes what RFC 6381 calls the codec, such as "avc1.640028" or "mp4a.40.2"; an empty text if
// the configuration does not say it. OPENRTMP_ERROR_INVALID_ARGUMENT if it cannot be read.
int32_t openrtmp_decoder_config_codec_string(uint32_t kind,
                                             uint32_t codec,
                                             const uint8_t *OPENRTMP_NULLABLE body,
                                             size_t body_length,
                                             char *OPENRTMP_NULLABLE buffer,
                                             size_t capacity,
                                             size_t *OPENRTMP_NULLABLE out_length);

// Writes one of the parts of a decoder configuration that Android's MediaCodec calls csd-0,
// csd-1 and so on: of H.264 the sequence parameter sets, then the picture parameter sets, of
// H.265 all sets in one, with start codes; of AAC the AudioSpecificConfig; of Opus its
// identification header and two numbers; of others the configuration itself.
// OPENRTMP_ERROR_NOT_FOUND beyond the last, OPENRTMP_ERROR_INVALID_ARGUMENT if it cannot be
// read. Writes bytes as others write text, but without a NUL.
int32_t openrtmp_decoder_config_part(uint32_t kind,
                                     uint32_t codec,
                                     const uint8_t *OPENRTMP_NULLABLE body,
                                     size_t body_length,
                                     size_t index,
                                     uint8_t *OPENRTMP_NULLABLE buffer,
                                     size_t capacity,
                                     size_t *OPENRTMP_NULLABLE out_length);

// Writes the decoder configuration for parameter sets with start codes, as encoders give
// them, in any order: what openrtmp_track.config takes. For H.264 and H.265; frames have
// lengths of 4 bytes then, as openrtmp_annex_b_to_frame() writes them.
// OPENRTMP_ERROR_INVALID_ARGUMENT if a set is missing or cannot be read, and for other codecs.
int32_t openrtmp_decoder_config_of_sets(uint32_t codec,
                                        const uint8_t *OPENRTMP_NULLABLE body,
                                        size_t body_length,
                                        uint8_t *OPENRTMP_NULLABLE buffer,
                                        size_t capacity,
                                        size_t *OPENRTMP_NULLABLE out_length);

// Opens a stream ("app/name") for publishing. OPENRTMP_ERROR_BUSY if it has a
// publisher. Free it with openrtmp_publisher_free(), which ends the stream.
int32_t openrtmp_publisher_open(struct openrtmp_server *server,
                                openrtmp_str stream,
                                struct openrtmp_publisher *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_publisher);

// Ends the stream and frees the publisher, and its buffer. When it returns the name, and
// its place in "limits.publishers", are free.
void openrtmp_publisher_free(struct openrtmp_publisher *OPENRTMP_NULLABLE publisher);

// Lends a buffer of so many bytes, at most 16 MiB less a header: one frame is written
// there, and handed in by openrtmp_publisher_write() with it as payload, which copies
// nothing. Then it is the library's. One at a time: lending again, or freeing the
// publisher, takes it back. OPENRTMP_ERROR_MEMORY if there is none.
int32_t openrtmp_publisher_lend(struct openrtmp_publisher *publisher,
                                size_t capacity,
                                uint8_t *OPENRTMP_NULLABLE *OPENRTMP_NONNULL out_buffer);

// Adds a track, or changes its configuration. Before the first frame of it. The
// configuration is copied. Fails as openrtmp_publisher_write().
int32_t openrtmp_publisher_configure(struct openrtmp_publisher *publisher,
                                     const struct openrtmp_track *track);

// Writes a frame; the payload is copied, unless it is the buffer of
// openrtmp_publisher_lend(), which is taken, or after a failure stays lent.
// OPENRTMP_ERROR_STATE if its track was not configured or the server has stopped;
// OPENRTMP_ERROR_GONE if another publisher took the stream over or
// openrtmp_server_end_stream() ended it; OPENRTMP_ERROR_WOULD_BLOCK if 16 MiB wait, and
// OPENRTMP_ERROR_MEMORY if there is none: drop it, or try again later.
int32_t openrtmp_publisher_write(struct openrtmp_publisher *publisher,
                                 const struct openrtmp_media *media);

// Writes the body of an RTMP message as it is (OPENRTMP_MEDIA_*): an FLV or Enhanced
// RTMP audio or video tag body, or AMF0 values, the name first. The body is copied.
// Needs no configured track. Fails as openrtmp_publisher_write().
int32_t openrtmp_publisher_write_message(struct openrtmp_publisher *publisher,
                                         uint32_t kind,
                                         uint32_t timestamp_ms,
                                         const uint8_t *OPENRTMP_NULLABLE body,
                                         size_t body_length);

// Records a stream ("app/name"), live or still to come, to files in a folder,
// which is made if missing, until openrtmp_record_stop() or the end of the server.
// Events tell the file names. Names and splitting are those of "record" in the
// settings, where it is set.
int32_t openrtmp_record_start(struct openrtmp_server *server,
                              openrtmp_str stream,
                              openrtmp_str directory);

// Visits the streams that openrtmp_record_start() records, by their paths, keys masked.
int32_t openrtmp_record_list(const struct openrtmp_server *server,
                             openrtmp_visit_text visit,
                             void *OPENRTMP_NULLABLE user_data);

// Completes a recording begun by openrtmp_record_start(), and tells what became of it:
// when it returns 0 the files are whole; OPENRTMP_ERROR_IO tells that one of them failed,
// or could not be completed in 5 s, and the recording is over all the same. What it has
// made is told after both; out_recording may be NULL.
int32_t openrtmp_record_stop(struct openrtmp_server *server,
                             openrtmp_str stream,
                             struct openrtmp_recording *OPENRTMP_NULLABLE out_recording);

// Sets what is called on every thread that the library starts from now on, in the whole
// process, in place of what was set before; NULL: nothing. To be called before the first
// server is made. A thread that began with hooks ends with the same.
int32_t openrtmp_thread_hooks(const struct openrtmp_thread_hooks_table *OPENRTMP_NULLABLE hooks);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#if defined(__clang__)
#if __has_feature(nullability)
#pragma clang assume_nonnull end
#pragma clang diagnostic pop
#endif
#endif

#endif  /* OPENRTMP_H */

// A caller fills these; begin with the macro: openrtmp_callbacks callbacks =
// OPENRTMP_CALLBACKS_INIT;
#define OPENRTMP_CALLBACKS_INIT \
    { (uint32_t) sizeof(openrtmp_callbacks), 0, NULL, NULL, NULL, NULL, NULL }
#define OPENRTMP_SUMMARY_INIT \
    { (uint32_t) sizeof(openrtmp_summary), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
#define OPENRTMP_HEALTH_INIT \
    { (uint32_t) sizeof(openrtmp_health), 0, 0, 0 }
#define OPENRTMP_SUSPEND_REPORT_INIT \
    { (uint32_t) sizeof(openrtmp_suspend_report), 0, 0, 0, 0, 0 }
#define OPENRTMP_RESUME_REPORT_INIT \
    { (uint32_t) sizeof(openrtmp_resume_report), 0, 0, 0, 0, 0 }
#define OPENRTMP_NETWORK_INIT \
    { (uint32_t) sizeof(openrtmp_network), 0, 0, 0, { NULL, 0 }, { NULL, 0 } }
#define OPENRTMP_POWER_STATS_INIT \
    { (uint32_t) sizeof(openrtmp_power_stats), 0, 0, 0, 0 }
#define OPENRTMP_LOG_CALLBACKS_INIT \
    { (uint32_t) sizeof(openrtmp_log_callbacks), OPENRTMP_LOG_INFO, NULL, NULL, NULL }
#define OPENRTMP_METRICS_INIT \
    { (uint32_t) sizeof(openrtmp_metrics), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
#define OPENRTMP_HTTP_STATS_INIT \
    { (uint32_t) sizeof(openrtmp_http_stats), 0, 0, 0, 0, 0, 0, 0 }
#define OPENRTMP_RELAY_INIT \
    { (uint32_t) sizeof(openrtmp_relay), 0, { NULL, 0 }, { NULL, 0 }, 30000 }
#define OPENRTMP_TAP_CALLBACKS_INIT \
    { (uint32_t) sizeof(openrtmp_tap_callbacks), 0, NULL, NULL, NULL, NULL, NULL, NULL, \
      NULL }
#define OPENRTMP_TAP_ITEM_INIT \
    { (uint32_t) sizeof(openrtmp_tap_item), 0, 0, { NULL, 0 }, NULL, NULL }
#define OPENRTMP_MEDIA_FORMAT_INIT \
    { (uint32_t) sizeof(openrtmp_media_format), 0, 0, 0, 0, 0, 0 }
#define OPENRTMP_TRACK_INIT \
    { (uint32_t) sizeof(openrtmp_track), 0, 0, 0, NULL, 0, 0 }
#define OPENRTMP_MEDIA_INIT \
    { (uint32_t) sizeof(openrtmp_media), 0, 0, 0, 0, 0, NULL, 0 }
#define OPENRTMP_RECORDING_INIT \
    { (uint32_t) sizeof(openrtmp_recording), 0, 0, 0, 0, 0, 0 }
#define OPENRTMP_THREAD_HOOKS_INIT \
    { (uint32_t) sizeof(openrtmp_thread_hooks_table), 0, NULL, NULL, NULL }
