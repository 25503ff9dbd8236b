//! What may never happen, and the tests that would notice. The table is the map for whoever wants to
//! know how a promise is kept; a test that is renamed or removed has to be mended here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

/// Number, promise, and the tests as `file: function`.
const PROMISES: &[(u8, &str, &[&str])] = &[
    (
        1,
        "nothing starts before enough distinct people approved exactly this digest",
        &[
            "tests/tests/rollback.rs: two_approvals_bring_trade_back_to_its_container",
            "bot/core/src/approval.rs: two_people_approve_exactly_the_digest_they_saw",
            "bot/core/src/approval.rs: break_glass_is_off_unless_configured_and_needs_a_reason",
            "bot/core/src/operation.rs: effects_can_only_follow_a_vote",
        ],
    ),
    (
        2,
        "the digest covers everything that will be done, and nothing else can be done",
        &[
            "bot/engine/tests/engine/planning.rs: the_digest_changes_with_each_thing_that_it_covers",
            "bot/engine/tests/engine/refusing.rs: only_names_of_the_approved_plan_are_performed_and_by_the_right_function",
            "bot/engine/tests/engine/refusing.rs: a_guest_that_lies_performs_nothing_that_was_not_approved",
        ],
    ),
    (
        3,
        "a person counts once, strangers and bots count for nothing",
        &[
            "bot/core/src/approval.rs: a_person_with_two_accounts_counts_once",
            "bot/core/src/approval.rs: the_requester_strangers_and_outsiders_count_zero_and_are_told_why",
            "bot/core/src/approval.rs: an_empty_list_of_approvers_means_that_nobody_can_approve",
            "bot/core/src/approval.rs: an_account_has_one_owner",
        ],
    ),
    (
        4,
        "votes are read and authorised again right before the start",
        &[
            "tests/tests/rollback.rs: a_veto_ends_it_and_a_withdrawn_vote_does_not_count",
            "bot/engine/tests/engine/refusing.rs: grants_that_were_taken_away_are_obeyed_in_a_running_operation",
        ],
    ),
    (
        5,
        "another digest, a veto or the end of the time voids all votes",
        &[
            "bot/core/src/approval.rs: a_veto_wins_and_expiry_voids",
            "bot/store-conformance/src/people.rs: votes_on_older_digests_stay",
            "tests/tests/rollback.rs: a_veto_ends_it_and_a_withdrawn_vote_does_not_count",
            "bot/engine/tests/engine/refusing.rs: another_plan_or_another_component_than_the_approved_is_not_started",
        ],
    ),
    (
        6,
        "a vote can be withdrawn before the start; afterwards only people stop it",
        &[
            "tests/tests/rollback.rs: a_veto_ends_it_and_a_withdrawn_vote_does_not_count",
            "bot/engine/tests/engine/running.rs: an_abort_stops_before_the_next_effect",
        ],
    ),
    (
        7,
        "every effect has a durable intent before it and a durable outcome after it",
        &[
            "bot/engine/tests/engine/running.rs: every_call_has_an_intent_and_an_outcome",
            "bot/store-conformance/src/journal.rs: an_outcome_needs_an_intent_and_comes_once",
        ],
    ),
    (
        8,
        "every host function has one class, and only at-most-once is never repeated",
        &[
            "bot/engine/tests/engine/host_functions.rs: every_imported_function_is_in_the_table_with_its_class",
            "bot/engine/tests/engine/people.rs: an_at_most_once_effect_is_never_repeated_by_itself",
        ],
    ),
    (
        9,
        "an at-most-once effect of unknown outcome waits for people",
        &[
            "bot/engine/tests/engine/people.rs: an_at_most_once_effect_of_unknown_outcome_waits_for_people",
        ],
    ),
    (
        10,
        "killed at any instant, it reaches the end of an undisturbed run",
        &[
            "tests/tests/crash.rs: killed_around_any_commit_it_ends_as_if_undisturbed",
            "tests/tests/rollback.rs: killed_in_the_middle_it_goes_on_by_itself",
            "bot/engine/tests/engine/crash.rs: a_rollback_that_dies_at_any_commit_ends_as_if_it_had_not",
        ],
    ),
    (
        11,
        "a loss of power loses nothing that was acknowledged",
        &[
            "bot/store-sqlite/tests/file.rs: commits_are_synced_to_the_disk_and_logged_ahead",
            "bot/store-sqlite/tests/kill.rs: a_killed_process_loses_nothing_it_acknowledged",
        ],
    ),
    (
        12,
        "a replay that differs stops before any new effect",
        &[
            "bot/engine/tests/engine/refusing.rs: another_order_of_calls_than_the_journals_is_a_divergence_and_performs_nothing",
        ],
    ),
    (
        13,
        "an operation has one owner, a service one active operation",
        &[
            "bot/store-conformance/src/concurrency.rs: nobody_writes_with_an_old_fence",
            "bot/store-conformance/src/concurrency.rs: one_of_many_gets_the_lock",
            "bot/engine/tests/engine/refusing.rs: whoever_lost_the_operation_writes_nothing_any_more",
            "tests/tests/rollback.rs: a_locked_service_says_who_holds_it_and_a_typing_slip_is_marked",
        ],
    ),
    (
        14,
        "nothing takes the place of data before its backup was read back",
        &[
            "bot/engine/tests/engine/refusing.rs: nothing_takes_the_place_of_data_before_its_backup_is_good",
            "bot/engine/tests/engine/running.rs: an_archive_that_was_not_read_back_is_a_failure",
            "bot/host/docker/tests/engine/containers.rs: down_stops_in_reverse_order_and_removes_nothing",
        ],
    ),
    (
        15,
        "verified means that every target was observed; the rest closes with exceptions",
        &[
            "bot/core/src/operation.rs: only_a_verified_operation_closes_without_exceptions",
            "bot/engine/tests/engine/observing.rs: what_cannot_be_seen_does_not_hold",
            "tests/tests/rollback.rs: skipping_needs_the_full_count_and_is_listed_at_the_end",
        ],
    ),
    (
        16,
        "a plugin has no authority of its own, and is bounded",
        &[
            "bot/engine/tests/engine/refusing.rs: queries_outside_the_grants_reach_no_host",
            "bot/engine/tests/engine/bounds.rs: a_guest_that_loops_runs_out_of_fuel",
            "bot/engine/tests/engine/bounds.rs: a_guest_that_eats_memory_ends_at_its_limit",
            "bot/engine/tests/engine/bounds.rs: a_guest_that_says_too_much_is_stopped",
            "bot/engine/tests/engine/bounds.rs: a_guest_that_calls_without_end_is_stopped",
        ],
    ),
    (
        17,
        "an event changes something at most once, in whatever order it comes",
        &[
            "bot/store-conformance/src/concurrency.rs: an_event_delivered_many_times_at_once_works_once",
            "bot/chat-console/tests/http/messages.rs: a_repeated_client_id_is_dispatched_once_and_answered_again",
        ],
    ),
    (
        18,
        "what was acknowledged survives a crash",
        &[
            "tests/tests/crash.rs: killed_around_any_commit_it_ends_as_if_undisturbed",
            "bot/store-sqlite/tests/kill.rs: a_killed_process_loses_nothing_it_acknowledged",
            "bot/chat-console/tests/http/messages.rs: a_repetition_after_a_restart_posts_nothing_twice",
        ],
    ),
    (
        19,
        "a chat outage stops no started run, and the command line obeys the same rules",
        &[
            "bot/notify/tests/outbox.rs: a_platform_that_hangs_keeps_no_other_waiting",
            "tests/tests/rollback.rs: the_command_line_obeys_the_same_rules",
        ],
    ),
    (
        20,
        "nothing that others wrote has a meaning in a message, and secrets are in none",
        &[
            "bot/chat-console/src/markdown_tests.rs: escaped_text_is_shown_literally_wherever_it_is_put",
            "bot/engine/tests/engine/running.rs: secrets_are_in_no_answer_journal_event_or_question",
            "bot/host/docker/tests/engine/containers.rs: logs_are_the_last_lines_of_both_streams_and_safe_to_show",
        ],
    ),
    (
        21,
        "platforms that say when are obeyed, and refused credentials are not tried on",
        &[
            "bot/notify/tests/outbox.rs: a_platform_that_says_when_is_not_asked_before",
            "bot/notify/tests/outbox.rs: refused_credentials_are_said_once_elsewhere_and_nothing_is_given_up",
        ],
    ),
    (
        22,
        "a changed or missing row of the audit log is found",
        &[
            "bot/core/src/audit.rs: a_changed_row_is_found",
            "bot/core/src/audit.rs: a_missing_row_is_found",
            "bot/store-sqlite/tests/tampering.rs: what_is_changed_without_the_triggers_is_found",
        ],
    ),
    (
        23,
        "bad input is told where it is and what to do",
        &[
            "bot/config/src/tests/errors.rs: all_errors_of_all_files_are_told_at_once",
            "bot/engine/tests/engine/bounds.rs: what_is_no_plugin_is_not_loaded",
            "bot/host/registry/tests/json_file.rs: a_broken_file_is_named_with_line_and_column_and_left_alone",
            "bot/host/backup/tests/archives/hostile.rs: tars_with_paths_or_links_that_leave_the_target_are_refused",
        ],
    ),
];

#[test]
fn each_promise_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let numbers: Vec<u8> = PROMISES.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=23).collect::<Vec<u8>>());
    let mut missing = Vec::new();
    for (number, promise, tests) in PROMISES {
        assert!(!tests.is_empty(), "{number}: {promise}");
        for test in *tests {
            let (file, function) = test.split_once(": ").unwrap();
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            if !text.contains(&format!("fn {function}(")) {
                missing.push(format!("{number} ({promise}): {test}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
