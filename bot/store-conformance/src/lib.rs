//! What every store must pass. A store's crate runs all of it with one line:
//!
//! ```ignore
//! rollbot_store_conformance::conformance_tests!(MyBackend::empty());
//! ```
//!
//! Each case gets a database of its own, and may open it again to see what was left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod audit;
pub mod batches;
pub mod concurrency;
pub mod console;
pub mod journal;
pub mod operations;
pub mod outbox;
pub mod people;
pub mod sample;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollbot_core::console::ConsoleStore;
use rollbot_core::store::Store;

/// A database of its own, empty at first; removed when this is dropped.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Opens it, with whatever was left in it.
    async fn open(&self) -> Opened;
}

/// An open store. Dropping all of it closes the store.
#[derive(Clone)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub console: Arc<dyn ConsoleStore>,
}

impl Opened {
    /// Both halves on one type.
    pub fn of<S: Store + ConsoleStore + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            store: Arc::clone(&store) as Arc<dyn Store>,
            console: store,
        }
    }
}

/// Runs one case on a runtime with several threads. A case that hangs fails.
pub fn run<F>(backend: impl Backend, case: impl FnOnce(Arc<dyn Backend>) -> F)
where
    F: Future<Output = ()>,
{
    const LONGEST: Duration = Duration::from_secs(300);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime");
    let backend: Arc<dyn Backend> = Arc::new(backend);
    runtime.block_on(async {
        tokio::time::timeout(LONGEST, case(backend))
            .await
            .expect("the case hangs");
    });
}

/// Makes a `#[test]` of every case. The expression makes a [`Backend`] with an empty database, each
/// time it is evaluated.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { @cases $make;
            operations {
                numbers_are_consecutive
                an_event_creates_one_operation
                a_new_operation_reads_back_as_it_was_asked_for
                what_is_written_with_a_new_operation_appears_with_it
                an_operation_whose_first_writes_fail_leaves_no_gap
                operations_are_listed_newest_first_by_service_and_state
                every_transition_is_allowed_or_refused_as_core_says
                everything_about_a_run_reads_back
                a_plan_comes_back_with_its_digest
                a_take_over_fences_the_owner_before
                an_operation_that_does_not_exist_is_named
                everything_is_there_after_the_store_is_opened_again
                components_are_kept_by_digest
                the_store_can_be_checked_for_writing
            }
            batches {
                a_failing_guard_leaves_nothing
                a_failing_write_leaves_nothing_of_the_writes_before_it
                an_event_is_remembered_with_its_batch_only
                guards_see_the_state_before_the_batch
                writes_happen_in_their_order
                an_empty_batch_is_fine
                a_commit_dropped_at_any_point_is_there_as_a_whole_or_not_at_all
                a_commit_aborted_at_any_moment_is_there_as_a_whole_or_not_at_all
            }
            journal {
                a_call_is_begun_once
                an_outcome_needs_an_intent_and_comes_once
                a_failed_call_can_be_tried_again_or_settled
                only_a_failed_call_is_tried_again
                phases_have_journals_of_their_own
                entries_come_in_order_whatever_order_they_were_written_in
                large_and_odd_texts_come_back_unchanged
            }
            people {
                a_vote_counts_once_and_can_be_taken_back
                a_vote_said_and_a_vote_shown_are_taken_back_apart
                votes_on_older_digests_stay
                a_lock_has_one_owner_until_it_is_given_back
                a_lock_is_passed_within_one_batch
                a_question_is_asked_chosen_and_answered_once
                steps_are_replaced_by_name
                past_steps_are_of_finished_runs_of_that_service
            }
            audit {
                rows_link_to_one_another
                several_rows_in_one_batch_link_as_well
                a_note_changes_nothing_else
                numbers_and_orders_of_keys_survive_the_chain
            }
            outbox {
                the_same_content_is_no_change
                new_content_is_a_new_revision
                only_the_newest_content_is_due
                a_changing_message_is_not_pushed_back_for_ever
                a_failure_waits_and_new_content_starts_anew
                what_was_given_up_is_not_due_until_it_says_something_new
                urgent_messages_come_first_and_none_before_its_time
                a_message_is_found_by_its_id_on_the_platform
                a_late_report_of_delivery_takes_nothing_back
                a_refusal_concerns_only_the_content_that_was_refused
                each_platform_has_its_own_queue
                reports_on_unknown_messages_are_refused
                messages_of_an_operation_are_listed_in_order
            }
            console {
                a_message_is_posted_once_and_edited_by_its_identity
                a_reaction_is_put_on_and_taken_off_once
                every_change_counts
                private_messages_keep_their_reader
                recent_messages_are_of_every_channel_and_never_without_their_thread
                sessions_end
                a_message_that_does_not_exist_is_named
                the_console_is_there_after_the_store_is_opened_again
            }
            concurrency {
                many_requests_get_different_numbers
                an_event_delivered_many_times_at_once_works_once
                commits_on_one_operation_are_all_there
                commits_on_many_operations_do_not_mix
                one_of_many_gets_the_lock
                nobody_writes_with_an_old_fence
                readers_never_see_half_a_batch
                console_changes_are_never_missed
            }
        }
    };
    (@cases $make:expr; $($module:ident { $($case:ident)* })*) => {
        $(
            mod $module {
                #[allow(unused_imports)]
                use super::*;

                $(
                    #[test]
                    fn $case() {
                        $crate::run($make, $crate::$module::$case);
                    }
                )*
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// A case that nobody runs would prove nothing.
    #[test]
    fn every_case_is_in_the_macro() {
        let sources = [
            include_str!("audit.rs"),
            include_str!("batches.rs"),
            include_str!("concurrency.rs"),
            include_str!("console.rs"),
            include_str!("journal.rs"),
            include_str!("operations.rs"),
            include_str!("outbox.rs"),
            include_str!("people.rs"),
        ];
        let written: BTreeSet<&str> = sources
            .iter()
            .flat_map(|source| source.lines())
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
            .collect();
        let listed: BTreeSet<&str> = include_str!("lib.rs")
            .lines()
            .skip_while(|line| !line.contains("@cases $make;"))
            .take_while(|line| !line.contains("(@cases $make:expr;"))
            .map(str::trim)
            .filter(|word| {
                word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            })
            .collect();
        assert_eq!(written, listed);
    }
}
