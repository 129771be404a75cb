//! Chunk reader and writer on one second of video: a key frame of 60 KB, 29
//! frames of 10 KB, 43 audio messages of 400 bytes.
//!
//! Measured on two virtual cores of an AMD EPYC (1 MiB of L2 each), one thread,
//! November 2026, GB per second of wire bytes:
//!
//! | chunk size | read | read and hold | write | slices, ns per message |
//! |---|---|---|---|---|
//! | 1 | 0.17 | - | - | - |
//! | 128 | 10.0 | 9.3 | 19.8 | 169 |
//! | 4096 | 30.2 | 23.9 | 41.8 | 11 |
//! | 60,000 | 38.6 | 28.0 | 44.2 | 7 |
//!
//! What limits them: from 4 KiB on, copying the payload once. The 370 KB of wire
//! stay in the cache here, and so does the memory of messages dropped at once;
//! held messages come from colder memory, and a server whose input comes from
//! the kernel will see less still. At 128 bytes a chunk costs about 13 ns, most
//! of it the header and the call of a short copy; at one byte 12 ns, which is
//! what an attacker gets for two bytes of traffic. Slices cost as many pushes as
//! there are chunks.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io::IoSlice;

use bytes::BytesMut;
use criterion::{BenchmarkId, Criterion, Throughput};
use openrtmp_protocol::Limits;
use openrtmp_protocol::chunk::{ChunkHeaders, ChunkReader, ChunkWriter, Message};
use openrtmp_protocol::message::kind;

/// The protocol's first size, a common one of encoders, and our own default.
const CHUNK_SIZES: [u32; 3] = [128, 4096, 60_000];

/// What a server takes from a socket at once.
const READ_SIZE: usize = 64 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    read(&mut criterion);
    read_and_hold(&mut criterion);
    write(&mut criterion);
    slices(&mut criterion);
    criterion.final_summary();
}

/// Every message is dropped as soon as it is read.
fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk_read");
    // Chunks of one byte are an attack on the CPU.
    for chunk_size in [1].into_iter().chain(CHUNK_SIZES) {
        let wire = wire(chunk_size);
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(chunk_size), |bencher| {
            let mut reader = reader(chunk_size);
            bencher.iter(|| read_all(&mut reader, &wire, |message| drop(black_box(message))));
        });
    }
}

/// Two seconds of messages are held, as a GOP cache does.
fn read_and_hold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk_read_and_hold");
    for chunk_size in CHUNK_SIZES {
        let wire = wire(chunk_size);
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(chunk_size), |bencher| {
            let mut reader = reader(chunk_size);
            let mut held = VecDeque::new();
            let limit = 2 * second().len();
            bencher.iter(|| {
                read_all(&mut reader, &wire, |message| {
                    if held.len() == limit {
                        held.pop_front();
                    }
                    held.push_back(message);
                });
            });
        });
    }
}

/// Into one buffer, copying.
fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk_write");
    let messages = payloads();
    for chunk_size in CHUNK_SIZES {
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(chunk_size);
        let mut output = wire(chunk_size);
        group.throughput(Throughput::Bytes(output.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(chunk_size), |bencher| {
            bencher.iter(|| {
                output.clear();
                for (id, kind, payload) in &messages {
                    writer.write(*id, *kind, 1, 1000, payload, &mut output);
                }
                black_box(&output);
            });
        });
    }
}

/// As slices for a vectored write, headers made before: one message each.
fn slices(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk_slices");
    let messages: Vec<_> = payloads()
        .into_iter()
        .map(|(id, kind, payload)| {
            let headers = ChunkHeaders::new(id, kind, 1, 1000, payload.len());
            (headers, payload)
        })
        .collect();
    group.throughput(Throughput::Elements(messages.len() as u64));
    for chunk_size in CHUNK_SIZES {
        group.bench_function(BenchmarkId::from_parameter(chunk_size), |bencher| {
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(1024);
            bencher.iter(|| {
                for (headers, payload) in &messages {
                    slices.clear();
                    slices.extend(headers.slices(payload, chunk_size, 0).map(IoSlice::new));
                    black_box(&slices);
                }
            });
        });
    }
}

fn reader(chunk_size: u32) -> ChunkReader {
    let mut reader = ChunkReader::new(&Limits::default());
    reader.set_chunk_size(chunk_size).expect("it is not zero");
    reader
}

fn read_all(reader: &mut ChunkReader, wire: &[u8], mut each: impl FnMut(Message)) {
    for mut input in wire.chunks(READ_SIZE) {
        while let Some(message) = reader.read(&mut input).expect("the wire is in order") {
            each(message);
        }
    }
}

fn wire(chunk_size: u32) -> BytesMut {
    let mut writer = ChunkWriter::new();
    writer.set_chunk_size(chunk_size);
    let mut output = BytesMut::new();
    for (id, kind, payload) in payloads() {
        writer.write(id, kind, 1, 1000, &payload, &mut output);
    }
    output
}

/// Chunk stream, type and payload of the messages of one second.
fn payloads() -> Vec<(u32, u8, Vec<u8>)> {
    second()
        .into_iter()
        .map(|(id, kind, length)| (id, kind, vec![0xA5; length]))
        .collect()
}

fn second() -> Vec<(u32, u8, usize)> {
    let mut messages = vec![(6, kind::VIDEO, 60_000)];
    for frame in 1..30 {
        messages.push((4, kind::AUDIO, 400));
        if frame % 2 == 0 {
            messages.push((4, kind::AUDIO, 400));
        }
        messages.push((6, kind::VIDEO, 10_000));
    }
    messages
}
