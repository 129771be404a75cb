//! Worlds that once broke a rule, as they were when they had been made small. Each
//! is named after what was wrong.

use super::course;
use super::plan::Plan;

fn assert_keeps_the_rules(plan: &str) {
    let plan: Plan = serde_json::from_str(plan).expect("a plan");
    if let Err(broken) = course::run(&plan) {
        panic!("{}: {}", broken.rule, broken.what);
    }
}

#[test]
fn every_byte_of_a_slow_peer_set_a_timer() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{},"steps":[
        {"at":0,"op":{"Attack":{"amount":0,"deaf":false,"kind":4,"link":{"bite":1},"who":0}}}]}"#,
    );
}

#[test]
fn every_unpublish_within_a_grace_set_a_timer() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"republish_grace":630},"steps":[
        {"at":0,"op":{"Attack":{"amount":300,"deaf":false,"kind":11,"link":{},"who":0}}}]}"#,
    );
}

#[test]
fn every_coalesced_write_of_a_pinged_player_set_a_timer() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"coalesce":1,"ping":2914},"steps":[
        {"at":0,"op":{"Publish":{"link":{},"source":{},"who":0}}},
        {"at":0,"op":{"Play":{"key":0,"link":{},"stream":0,"who":1}}}]}"#,
    );
}

#[test]
fn a_publisher_that_had_left_was_told_to_be_taken_over() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"second_publisher":1},"steps":[
        {"at":0,"op":{"HostPublish":{"source":{},"who":0}}},
        {"at":0,"op":{"HostPublish":{"source":{},"who":0}}}]}"#,
    );
}

#[test]
fn players_and_streams_lost_with_a_worker_were_not_told_to_end() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{},"steps":[
        {"at":0,"op":{"Publish":{"link":{},"source":{},"who":1}}},
        {"at":0,"op":{"Play":{"key":0,"link":{},"stream":0,"who":0}}},
        {"at":7,"op":{"PanicWorker":{"worker":0}}}]}"#,
    );
}

#[test]
fn a_publisher_went_on_for_a_stream_that_was_lost_with_another_worker() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"second_publisher":1,"workers":2},"steps":[
        {"at":0,"op":{"Publish":{"link":{"speed":1},"source":{},"who":0}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{},"who":1}}},
        {"at":1,"op":{"Publish":{"link":{},"source":{},"who":3}}},
        {"at":9,"op":{"PanicWorker":{"worker":1}}}]}"#,
    );
}

#[test]
fn of_three_publishers_at_once_the_second_came_last() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"second_publisher":1,"workers":2},"steps":[
        {"at":0,"op":{"Attack":{"amount":0,"deaf":false,"kind":0,"link":{},"who":0}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{"stream":1},"who":0}}},
        {"at":1,"op":{"Publish":{"link":{},"source":{"stream":1},"who":1}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{"stream":1},"who":2}}}]}"#,
    );
}

#[test]
fn players_of_a_stream_were_left_behind_by_the_same() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"republish_grace":564,"second_publisher":1,"workers":3},"steps":[
        {"at":0,"op":{"Publish":{"link":{"speed":1},"source":{"stream":1},"who":0}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{"stream":1},"who":1}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{},"who":3}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{},"who":2}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{},"who":3}}},
        {"at":0,"op":{"Play":{"key":0,"link":{},"stream":1,"who":3}}},
        {"at":0,"op":{"Play":{"key":0,"link":{},"stream":0,"who":6}}},
        {"at":235,"op":{"Publish":{"link":{"bite":83,"pause":20},"source":{"stream":1},"who":1}}},
        {"at":393,"op":{"Tap":{"every":0,"stream":0,"who":0}}}]}"#,
    );
}

#[test]
fn a_stop_left_the_names_of_what_was_tapped() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{},"steps":[{"at":0,"op":{"Record":{"stream":0}}}]}"#,
    );
}

#[test]
fn a_loss_at_the_gate_alone_was_not_told() {
    assert_keeps_the_rules(
        r#"{"seed":527,"terms":{"coalesce":194,"early":1,"queue_delay":259,"send_buffer":626,
        "short_writes":172,"stall":413,"stalls":{"chance":15,"up_to":840}},"steps":[
        {"at":0,"op":{"Publish":{"link":{"bite":1},"source":{"stream":1},"who":1}}},
        {"at":114,"op":{"Publish":{"link":{},"source":{"interval":20,"size":1477,"stream":1,
        "tracks":3},"who":9}}},
        {"at":122,"op":{"Play":{"key":0,"link":{},"stream":0,"who":7}}},
        {"at":180,"op":{"Publish":{"link":{"bite":23,"pause":4},"source":{},"who":0}}},
        {"at":658,"op":{"PlayAgain":{"gap":0,"more":0,"stream":1,"who":7}}},
        {"at":829,"op":{"Publish":{"link":{},"source":{},"who":9}}}]}"#,
    );
}

#[test]
fn audio_waited_for_video_that_the_next_publisher_did_not_send() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"gop_max":1,"second_publisher":2},"steps":[
        {"at":0,"op":{"Publish":{"link":{},"source":{},"who":1}}},
        {"at":1,"op":{"Publish":{"link":{},"source":{"tracks":3},"who":0}}},
        {"at":12,"op":{"Play":{"key":0,"link":{},"stream":0,"who":1}}},
        {"at":0,"op":{"Tap":{"every":1,"stream":0,"who":0}}}]}"#,
    );
}

#[test]
fn a_tap_that_was_far_behind_lost_its_headers() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"queue_bytes":1},"steps":[
        {"at":0,"op":{"Publish":{"link":{},"source":{"group":1,"size":4791},"who":0}}},
        {"at":0,"op":{"Tap":{"every":1500,"stream":0,"who":0}}}]}"#,
    );
}

#[test]
fn room_in_a_socket_was_forgotten_while_writes_were_coalesced() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"coalesce":43,"receive_buffer":1,"send_buffer":1},"steps":[
        {"at":0,"op":{"Play":{"key":0,"link":{},"stream":1,"who":0}}},
        {"at":0,"op":{"Publish":{"link":{},"source":{"stream":1},"who":1}}}]}"#,
    );
}

#[test]
fn metadata_in_a_long_recording_turned_its_clock_back() {
    assert_keeps_the_rules(
        r#"{"seed":0,"terms":{"receive_buffer":1,"record":true},"steps":[
        {"at":189,"op":{"Publish":{"link":{},"source":{"first":2147481875},"who":8}}},
        {"at":2009,"op":{"Metadata":{"who":8}}}]}"#,
    );
}

#[test]
fn a_player_whose_writes_were_coalesced_for_longer_than_it_may_stall_was_disconnected() {
    assert_keeps_the_rules(r#"{"seed":0,"terms":{"coalesce":120,"stall":1},"steps":[]}"#);
}
