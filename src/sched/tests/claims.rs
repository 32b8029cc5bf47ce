//! Single claims about results, errors, cancellation and observers.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc;
use std::time::Instant;

use parking_lot::Mutex;

use super::*;
use crate::cancel::CancelToken;

type Numbers = Graph<u64, String>;

fn constant(value: u64) -> Task<u64, String> {
    Task::producer("constant", value, move |_, _| Ok(Outcome::Value(value)))
}

#[test]
fn an_empty_graph_finishes() {
    watched(|| {
        for scheduler in arms() {
            let values = scheduler.submit(Numbers::new(), options()).wait().unwrap();
            assert!(values.is_empty());
        }
    });
}

#[test]
fn roots_come_in_the_order_in_which_they_were_wanted() {
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            let ids: Vec<TaskId> = (0..10).map(|value| graph.add(constant(value))).collect();
            ids.iter().rev().chain(&ids).for_each(|id| graph.want(*id));
            let values = scheduler.submit(graph, options()).wait().unwrap();
            assert!(values.iter().map(|value| **value).eq((0..10).rev().chain(0..10)));
        }
    });
}

#[test]
fn a_start_task_expands_into_splits_and_becomes_their_combination() {
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            let start = graph.add(Task::consumer("start", |context, _| {
                let splits: Vec<TaskId> = (0..100).map(|split| context.add(constant(split))).collect();
                let sum = |inputs: Vec<Arc<u64>>| inputs.iter().map(|value| **value).sum();
                let combine = Task::consumer("combine", move |_, inputs| Ok(Outcome::Value(sum(inputs))));
                Ok(Outcome::Become(context.add(combine.inputs(splits))))
            }));
            let double = Task::consumer("double", |_, inputs| Ok(Outcome::Value(*inputs[0] * 2)));
            let double = graph.add(double.input(start));
            graph.want(double);
            assert_eq!(*scheduler.submit(graph, options()).wait().unwrap()[0], 9900);
        }
    });
}

#[test]
fn the_last_user_of_a_value_owns_it() {
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            let one = graph.add(constant(1));
            let own = |_: &TaskContext<u64, String>, mut inputs: Vec<Arc<u64>>| {
                let value = inputs.pop().ok_or("no input")?;
                Arc::try_unwrap(value).map(Outcome::Value).map_err(|_| "it is shared".to_string())
            };
            let own = graph.add(Task::consumer("own", own).input(one));
            graph.want(own);
            assert_eq!(*scheduler.submit(graph, options()).wait().unwrap()[0], 1);
        }
    });
}

#[test]
fn a_long_chain_of_continuations_stays_small() {
    fn step(context: &TaskContext<u64, String>, left: u64) -> Result<Outcome<u64>, String> {
        if left == 0 {
            return Ok(Outcome::Value(context.run.slots() as u64));
        }
        let next = Task::consumer("step", move |context, _| step(context, left - 1));
        Ok(Outcome::Become(context.add(next)))
    }
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            let first = graph.add(Task::consumer("step", |context, _| step(context, 1_000_000)));
            graph.want(first);
            let slots = *scheduler.submit(graph, options()).wait().unwrap()[0];
            assert!(slots <= 12, "{slots} slots");
        }
    });
}

#[test]
fn the_first_error_wins_and_drops_the_rest() {
    watched(|| {
        for scheduler in arms() {
            let live = Arc::default();
            let mut graph: Graph<Tracked, String> = Graph::new();
            for number in 0..1000 {
                let capture = Tracked::new(number, &live);
                graph.add(Task::producer("task", number, move |_, _| {
                    let value = Tracked::new(capture.value, &capture.live);
                    if capture.value == 500 { Err("five hundred".to_string()) } else { Ok(Outcome::Value(value)) }
                }));
            }
            let result = scheduler.submit(graph, options()).wait();
            assert_eq!(result.err().as_deref(), Some("five hundred"));
            assert_eq!(live.load(Ordering::SeqCst), 0);
        }
    });
}

#[test]
fn a_panic_is_an_error_that_names_the_task() {
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            graph.add(Task::consumer(Label::from("scan").index(7), |_, _| std::panic::panic_any("fault")));
            let error = scheduler.submit(graph, options()).wait().unwrap_err();
            assert_eq!(error, "scan 7 panicked: fault");
        }
    });
}

#[test]
fn a_value_that_panics_when_dropped_fails_the_graph_and_not_the_worker() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any("fault");
        }
    }
    watched(|| {
        for scheduler in arms() {
            let mut graph: Graph<Bomb, String> = Graph::new();
            let first = graph.add(Task::producer("bomb", 0, |_, _| Ok(Outcome::Value(Bomb))));
            graph.add(Task::producer("forever", 1, |context, _| {
                while !context.is_cancelled() {
                    std::thread::yield_now();
                }
                Err("cancelled".to_string())
            }));
            let _ = first;
            let error = scheduler.submit(graph, options()).wait().err();
            assert_eq!(error.as_deref(), Some("dropping a value panicked: fault"));
            assert_eq!(*one(&scheduler), 1);
        }
    });
}

fn one(scheduler: &Scheduler) -> Arc<u64> {
    let mut graph = Numbers::new();
    let one = graph.add(constant(1));
    graph.want(one);
    scheduler.submit(graph, options()).wait().unwrap().remove(0)
}

#[test]
fn a_panic_that_no_task_made_ends_the_graph_and_not_the_process() {
    fn on_panic(text: String, label: &Label) -> String {
        assert_ne!(text, "fault", "twice");
        format!("{label} panicked")
    }
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            graph.add(Task::consumer("task", |_, _| std::panic::panic_any("fault")));
            let result = scheduler.submit(graph, Options::new(on_panic, || "cancelled".to_string())).wait();
            assert_eq!(result, Err("the scheduler panicked".to_string()));
            assert_eq!(*one(&scheduler), 1);
        }
    });
}

#[test]
fn values_and_closures_are_dropped_without_the_lock() {
    /// Asks the graph something that needs its lock.
    struct Curious(Arc<std::sync::OnceLock<GraphControl<Curious, String>>>);
    impl Drop for Curious {
        fn drop(&mut self) {
            self.0.get().map(GraphControl::is_finished);
        }
    }
    watched(|| {
        for scheduler in arms() {
            for failing in [None, Some(90), Some(199)] {
                let control = Arc::new(std::sync::OnceLock::new());
                let mut graph: Graph<Curious, String> = Graph::new();
                let mut last = None;
                for number in 0..200 {
                    let capture = Curious(Arc::clone(&control));
                    let task = Task::consumer("task", move |context, _| {
                        capture.0.wait();
                        let value = Curious(Arc::clone(&capture.0));
                        let unused = Curious(Arc::clone(&capture.0));
                        context.add(Task::producer("added", 0, move |_, _| Ok(Outcome::Value(unused))));
                        if failing == Some(number) { Err("fault".to_string()) } else { Ok(Outcome::Value(value)) }
                    });
                    last = Some(graph.add(task.inputs(last.filter(|_| number % 3 > 0))));
                }
                last.into_iter().for_each(|last| graph.want(last));
                let handle = scheduler.submit(graph, options());
                assert!(control.set(handle.control()).is_ok());
                assert_eq!(handle.wait().is_err(), failing.is_some());
            }
        }
    });
}

#[test]
fn depending_on_a_released_task_is_an_error_and_no_hang() {
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            let gone = graph.add(constant(0));
            let user = Task::consumer("user", |_, _| Ok(Outcome::Value(1))).input(gone);
            let user = graph.add(user);
            let late = move |context: &TaskContext<u64, String>, _: Vec<Arc<u64>>| {
                Ok(Outcome::Become(context.add(Task::consumer("late", |_, _| Ok(Outcome::Value(2))).input(gone))))
            };
            graph.add(Task::consumer("adder", late).input(user));
            let error = scheduler.submit(graph, options()).wait().unwrap_err();
            assert!(error.starts_with("late panicked: depends on task"), "{error}");
        }
    });
}

#[test]
fn a_task_of_another_graph_is_refused() {
    watched(|| {
        let mut other = Numbers::new();
        let foreign = (0..5).map(|value| other.add(constant(value))).last().unwrap();
        let mut graph = Numbers::new();
        graph.add(constant(1).input(foreign));
        graph.want(foreign);
        assert!(Scheduler::inline().submit(graph, options()).wait().is_err());
    });
}

#[test]
fn tasks_that_wait_for_one_another_are_an_error_and_no_hang() {
    watched(|| {
        for scheduler in arms() {
            let mut graph = Numbers::new();
            let turn = graph.add(Task::consumer("turn", |context, _| {
                let own = context.id().ok_or("no id")?;
                let inner = Task::consumer("inner", |_, _| Ok(Outcome::Value(1))).input(own);
                Ok(Outcome::Become(context.add(inner)))
            }));
            graph.want(turn);
            let error = scheduler.submit(graph, options()).wait().unwrap_err();
            assert!(error.contains("wait for one another"), "{error}");
        }
    });
}

/// A graph of endless tasks that tell when they start.
fn endless(started: mpsc::Sender<()>) -> Numbers {
    let mut graph = Numbers::new();
    for order in 0..8 {
        let started = started.clone();
        graph.add(Task::producer("endless", order, move |context, _| {
            let _ = started.send(());
            while !context.is_cancelled() {
                std::thread::yield_now();
            }
            Ok(Outcome::Value(0))
        }));
    }
    graph
}

#[test]
fn cancelling_stops_running_tasks_and_waits_are_quick() {
    watched(|| {
        let scheduler = Scheduler::new(2).unwrap();
        let (sender, receiver) = mpsc::channel();
        let handle = scheduler.submit(endless(sender), options());
        receiver.recv().unwrap();
        let start = Instant::now();
        handle.cancel();
        assert!(handle.is_finished());
        handle.wait_idle();
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
        assert_eq!(handle.wait(), Err("cancelled".to_string()));
    });
}

#[test]
fn dropping_the_handle_on_another_thread_cancels_without_waiting() {
    watched(|| {
        let scheduler = Scheduler::new(2).unwrap();
        let (sender, receiver) = mpsc::channel();
        let handle = scheduler.submit(endless(sender), options());
        let control = handle.control();
        receiver.recv().unwrap();
        std::thread::spawn(move || drop(handle)).join().unwrap();
        control.wait_idle();
        assert!(control.is_finished());
    });
}

#[test]
fn a_result_that_nobody_can_take_is_dropped() {
    watched(|| {
        for scheduler in arms() {
            for within_callback in [false, true] {
                let live = Arc::default();
                let mut graph: Graph<Tracked, String> = Graph::new();
                let capture = Arc::clone(&live);
                let make = move |_: &TaskContext<Tracked, String>, _| Ok(Outcome::Value(Tracked::new(1, &capture)));
                let id = graph.add(Task::producer("make", 0, make));
                graph.want(id);
                let slot = Arc::new(Mutex::new(None::<GraphHandle<Tracked, String>>));
                let door = Arc::clone(&slot);
                // The handle is in the slot before this takes it: the lock is held during the submission.
                let mut held = slot.lock();
                let options = options().on_finish(move |_| {
                    let handle = door.lock().take();
                    if within_callback {
                        drop(handle);
                    } else {
                        *door.lock() = handle;
                    }
                });
                let handle = scheduler.submit(graph, options);
                let control = handle.control();
                *held = Some(handle);
                drop(held);
                control.wait_idle();
                assert_eq!(live.load(Ordering::SeqCst), if within_callback { 0 } else { 1 });
                drop(slot.lock().take());
                assert_eq!(live.load(Ordering::SeqCst), 0);
            }
        }
    });
}

#[test]
fn a_token_set_from_outside_cancels_at_the_next_task() {
    watched(|| {
        for scheduler in arms() {
            let token = CancelToken::new();
            let mut graph = Numbers::new();
            let inner = token.clone();
            let first = graph.add(Task::producer("first", 0, move |_, _| {
                inner.cancel();
                Ok(Outcome::Value(0))
            }));
            graph.add(Task::consumer("second", |_, _| panic!("must not run")).input(first));
            let handle = scheduler.submit(graph, options().cancel_token(token));
            assert_eq!(handle.wait(), Err("cancelled".to_string()));
        }
    });
}

#[test]
fn a_task_that_waits_for_a_graph_gets_an_error_and_no_hang() {
    watched(|| {
        let scheduler = Scheduler::new(1).unwrap();
        let inner = scheduler.clone();
        let mut graph = Numbers::new();
        graph.add(Task::consumer("outer", move |_, _| {
            let mut graph = Numbers::new();
            graph.add(constant(1));
            inner.submit(graph, options()).wait().map(|_| Outcome::Value(0))
        }));
        let error = scheduler.submit(graph, options()).wait().unwrap_err();
        assert_eq!(error, "wait panicked: a task must not wait for a graph of its own scheduler");
    });
}

#[test]
fn a_gate_that_knows_its_handle_leaks_nothing() {
    struct Loop(std::sync::OnceLock<GraphControl<u64, String>>, #[expect(dead_code)] Tracked);
    impl Gate for Loop {
        fn admits(&self, _order: u64) -> bool {
            true
        }
    }
    watched(|| {
        for scheduler in arms() {
            let live = Arc::default();
            let gate = Arc::new(Loop(std::sync::OnceLock::new(), Tracked::new(0, &live)));
            let mut graph = Numbers::new();
            graph.add(constant(1));
            let handle = scheduler.submit(graph, options().gate(Arc::clone(&gate) as Arc<dyn Gate>));
            assert!(gate.0.set(handle.control()).is_ok());
            drop(gate);
            handle.wait().unwrap();
            assert_eq!(live.load(Ordering::SeqCst), 0);
        }
    });
}

#[test]
fn a_graph_outlives_its_scheduler() {
    watched(|| {
        let scheduler = Scheduler::new(2).unwrap();
        let mut graph = Numbers::new();
        let ids: Vec<TaskId> = (0..1000).map(|value| graph.add(constant(value))).collect();
        let last = graph.add(Task::consumer("last", |_, inputs| Ok(Outcome::Value(inputs.len() as u64))).inputs(ids));
        graph.want(last);
        let handle = scheduler.submit(graph, options());
        drop(scheduler);
        assert_eq!(*handle.wait().unwrap()[0], 1000);
    });
}

#[test]
fn the_callback_hears_of_success_failure_and_cancellation() {
    watched(|| {
        for scheduler in arms() {
            for (value, cancel) in [(1, false), (13, false), (1, true)] {
                let heard = Arc::new(Mutex::new(Vec::new()));
                let mut graph = Numbers::new();
                let task = Task::consumer("task", move |context, _| {
                    while cancel && !context.is_cancelled() {
                        std::thread::yield_now();
                    }
                    if value == 13 { Err("unlucky".to_string()) } else { Ok(Outcome::Value(value)) }
                });
                let id = graph.add(task);
                graph.want(id);
                let log = Arc::clone(&heard);
                let options = options().on_finish(move |result| {
                    log.lock().push(result.map(|values| *values[0]).map_err(Clone::clone));
                });
                let handle = scheduler.submit(graph, options);
                if cancel {
                    handle.cancel();
                }
                let result = handle.wait().map(|values| *values[0]);
                assert_eq!(*heard.lock(), std::slice::from_ref(&result));
                let expected = if cancel {
                    Err("cancelled")
                } else if value == 13 {
                    Err("unlucky")
                } else {
                    Ok(1)
                };
                assert_eq!(result, expected.map_err(str::to_string));
            }
        }
    });
}

/// Writes down what happens to each task.
#[derive(Default)]
struct Log(Mutex<Vec<(String, Change, Instant)>>);

impl Observer for Log {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().push((event.label.to_string(), event.change, event.at));
    }
}

impl Log {
    fn of(&self, label: &str) -> Vec<Change> {
        self.0.lock().iter().filter(|event| event.0 == label).map(|event| event.1).collect()
    }
}

#[test]
fn an_observer_sees_each_change_in_order() {
    use Change::{Added, Cancelled, Failed, Finished, Released, Started};
    watched(|| {
        for scheduler in arms() {
            let log = Arc::new(Log::default());
            let mut graph = Numbers::new();
            let first = graph.add(Task::consumer("first", |context, _| {
                let inner = Task::consumer("inner", |_, _| Ok(Outcome::Value(1)));
                Ok(Outcome::Become(context.add(inner)))
            }));
            let second = graph.add(Task::consumer("second", |_, _| Err("fault".to_string())).input(first));
            graph.add(Task::consumer("third", |_, _| Ok(Outcome::Value(1))).input(second));
            let handle = scheduler.submit(graph, options().observer(Arc::clone(&log) as Arc<dyn Observer>));
            assert!(handle.wait().is_err());
            assert_eq!(log.of("first"), [Added, Started, Finished, Released]);
            assert_eq!(log.of("inner"), [Added, Started, Finished, Released]);
            assert_eq!(log.of("second"), [Added, Started, Failed]);
            assert_eq!(log.of("third"), [Added, Cancelled]);
        }
    });
}

#[test]
fn many_graphs_finish_together_from_many_threads() {
    watched(|| {
        let scheduler = Scheduler::new(2).unwrap();
        let finished = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for size in 0..200 {
                        let mut graph = Numbers::new();
                        let ids: Vec<TaskId> = (0..size % 20).map(|value| graph.add(constant(value))).collect();
                        let count = Task::consumer("count", |_, inputs| Ok(Outcome::Value(inputs.len() as u64)));
                        let count = graph.add(count.inputs(ids));
                        graph.want(count);
                        assert_eq!(*scheduler.submit(graph, options()).wait().unwrap()[0], size % 20);
                        finished.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(finished.into_inner(), 1600);
    });
}

#[test]
fn a_short_graph_does_not_wait_for_the_end_of_a_long_one() {
    watched(|| {
        let scheduler = Scheduler::new(1).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        fn step(stop: Arc<AtomicBool>, context: &TaskContext<u64, String>) -> Result<Outcome<u64>, String> {
            if stop.load(Ordering::SeqCst) {
                return Ok(Outcome::Value(0));
            }
            Ok(Outcome::Become(context.add(Task::consumer("step", move |context, _| step(stop, context)))))
        }
        let mut long = Numbers::new();
        let inner = Arc::clone(&stop);
        long.add(Task::consumer("step", move |context, _| step(inner, context)));
        let long = scheduler.submit(long, options());
        // Would hang if the long graph kept its worker: it goes on until the short one is through.
        assert_eq!(*one(&scheduler), 1);
        stop.store(true, Ordering::SeqCst);
        long.wait().unwrap();
    });
}
