//! The order: what has been read is used up before more is read.

use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;

use super::*;

/// A tree reduction over `leaves` producers; returns the most values that were live at once.
fn peak_of_tree(scheduler: &Scheduler, leaves: u64, producers: bool) -> isize {
    let live: Arc<AtomicIsize> = Arc::default();
    let peak: Arc<AtomicIsize> = Arc::default();
    let mut graph: Graph<Tracked, String> = Graph::new();
    let made = |value: u64, live: &Arc<AtomicIsize>, peak: &AtomicIsize| {
        let tracked = Tracked::new(value, live);
        peak.fetch_max(live.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(Outcome::Value(tracked))
    };
    let mut level = Vec::new();
    for order in 0..leaves {
        let (live, peak) = (Arc::clone(&live), Arc::clone(&peak));
        let kind = if producers { TaskKind::Producer { order } } else { TaskKind::Consumer };
        level.push(graph.add(Task::new("leaf", kind, move |_, _| made(1, &live, &peak))));
    }
    while level.len() > 1 {
        let mut above = Vec::new();
        for pair in level.chunks(2) {
            let (live, peak) = (Arc::clone(&live), Arc::clone(&peak));
            let sum = Task::consumer("sum", move |_, inputs: Vec<Arc<Tracked>>| {
                made(inputs.iter().map(|input| input.value).sum(), &live, &peak)
            });
            above.push(graph.add(sum.inputs(pair.iter().copied())));
        }
        level = above;
    }
    graph.want(level[0]);
    let values = scheduler.submit(graph, options()).wait().unwrap();
    assert_eq!(values[0].value, leaves);
    peak.load(Ordering::SeqCst)
}

#[test]
fn a_tree_reduction_holds_as_many_values_as_it_is_deep() {
    watched(|| {
        for producers in [true, false] {
            let peak = peak_of_tree(&Scheduler::inline(), 1 << 14, producers);
            assert!(peak <= 14 + 2, "{peak} values at once");
            for threads in [1, 2] {
                let peak = peak_of_tree(&Scheduler::new(threads).unwrap(), 1 << 14, producers);
                // A worker that is preempted holds its subtree back while the other goes on to the next.
                assert!(peak <= 14 * 16, "{peak} values at once on {threads} threads");
            }
        }
    });
}

#[test]
fn producers_start_in_ascending_order_and_only_when_nothing_else_is_ready() {
    watched(|| {
        for scheduler in [Scheduler::inline(), Scheduler::new(1).unwrap()] {
            let pending = Arc::new(AtomicUsize::new(0));
            let orders = Arc::new(Mutex::new(Vec::new()));
            let mut graph: Graph<(), String> = Graph::new();
            for order in [7, 1, 8, 2, 8, 1, 8, 0, 3] {
                let (pending, orders) = (Arc::clone(&pending), Arc::clone(&orders));
                graph.add(Task::producer("read", order, move |context, _| {
                    assert_eq!(pending.load(Ordering::SeqCst), 0);
                    orders.lock().push(order);
                    for _ in 0..3 {
                        pending.fetch_add(1, Ordering::SeqCst);
                        let pending = Arc::clone(&pending);
                        context.add(Task::consumer("use", move |_, _| {
                            pending.fetch_sub(1, Ordering::SeqCst);
                            Ok(Outcome::Value(()))
                        }));
                    }
                    Ok(Outcome::Value(()))
                }));
            }
            scheduler.submit(graph, options()).wait().unwrap();
            assert_eq!(*orders.lock(), [0, 1, 1, 2, 3, 7, 8, 8, 8]);
        }
    });
}

#[test]
fn consumers_go_depth_first() {
    fn grow(path: String, log: Arc<Mutex<Vec<String>>>) -> Task<(), String> {
        Task::consumer("grow", move |context, _| {
            log.lock().push(path.clone());
            if path.len() < 3 {
                for step in ["a", "b"] {
                    context.add(grow(format!("{path}{step}"), Arc::clone(&log)));
                }
            }
            Ok(Outcome::Value(()))
        })
    }
    watched(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut graph = Graph::new();
        graph.add(grow("a".to_string(), Arc::clone(&log)));
        graph.add(grow("b".to_string(), Arc::clone(&log)));
        Scheduler::inline().submit(graph, options()).wait().unwrap();
        let log = log.lock();
        let mut sorted = log.clone();
        sorted.sort();
        assert_eq!(*log, sorted);
        assert_eq!(log.len(), 14);
    });
}

#[test]
fn the_inline_arm_repeats_itself() {
    watched(|| {
        let order = || {
            let log = Arc::new(Mutex::new(Vec::new()));
            let mut graph: Graph<u64, String> = Graph::new();
            let mut ids: Vec<TaskId> = Vec::new();
            for number in 0..200_usize {
                let inner = Arc::clone(&log);
                let kind =
                    if number % 3 == 0 { TaskKind::Producer { order: number as u64 % 7 } } else { TaskKind::Consumer };
                let task = Task::new("task", kind, move |_, _| {
                    inner.lock().push(number);
                    Ok(Outcome::Value(0))
                });
                let inputs = [number / 2, number / 3].into_iter().filter_map(|input| ids.get(input)).copied();
                ids.push(graph.add(task.inputs(inputs)));
            }
            Scheduler::inline().submit(graph, options()).wait().unwrap();
            Arc::try_unwrap(log).map(Mutex::into_inner).unwrap_or_default()
        };
        assert_eq!(order(), order());
        assert_eq!(order().len(), 200);
    });
}
