//! Gates: producers wait for a slow consumer outside the pool, and are never forgotten.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use parking_lot::{Condvar, Mutex};

use super::*;

struct Door {
    open: AtomicBool,
    asked: Mutex<Vec<u64>>,
}

impl Door {
    fn shut() -> Arc<Self> {
        Arc::new(Door { open: AtomicBool::new(false), asked: Mutex::default() })
    }
}

impl Gate for Door {
    fn admits(&self, order: u64) -> bool {
        self.asked.lock().push(order);
        self.open.load(Ordering::SeqCst)
    }
}

#[test]
fn behind_a_shut_gate_consumers_run_and_producers_do_not() {
    watched(|| {
        for scheduler in arms() {
            let door = Door::shut();
            let (consumed, produced) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let mut graph: Graph<(), String> = Graph::new();
            for order in [4, 2, 3] {
                let (produced, door) = (Arc::clone(&produced), Arc::clone(&door));
                graph.add(Task::producer("read", order, move |_, _| {
                    assert!(door.open.load(Ordering::SeqCst));
                    produced.fetch_add(1, Ordering::SeqCst);
                    Ok(Outcome::Value(()))
                }));
                let consumed = Arc::clone(&consumed);
                graph.add(Task::consumer("use", move |_, _| {
                    consumed.fetch_add(1, Ordering::SeqCst);
                    Ok(Outcome::Value(()))
                }));
            }
            let handle = scheduler.submit(graph, options().gate(Arc::clone(&door) as Arc<dyn Gate>));
            let control = handle.control();
            let opener = std::thread::spawn(move || {
                while consumed.load(Ordering::SeqCst) < 3 {
                    std::thread::yield_now();
                }
                // A poke that changes nothing only asks again.
                control.gate_changed();
                std::thread::sleep(Duration::from_millis(5));
                assert_eq!(produced.load(Ordering::SeqCst), 0);
                assert!(door.asked.lock().iter().all(|order| *order == 2));
                door.open.store(true, Ordering::SeqCst);
                control.gate_changed();
            });
            handle.wait().unwrap();
            opener.join().unwrap();
        }
    });
}

#[test]
fn a_graph_behind_a_shut_gate_occupies_no_worker_and_can_be_cancelled() {
    watched(|| {
        for scheduler in [Scheduler::new(1).unwrap(), Scheduler::inline()] {
            let shut = || {
                let mut graph: Graph<u64, String> = Graph::new();
                graph.add(Task::producer("read", 0, |_, _| Ok(Outcome::Value(0))));
                scheduler.submit(graph, options().gate(Door::shut()))
            };
            let parked: Vec<_> = (0..10).map(|_| shut()).collect();
            let mut graph: Graph<u64, String> = Graph::new();
            let id = graph.add(Task::producer("read", 0, |_, _| Ok(Outcome::Value(7))));
            graph.want(id);
            assert_eq!(*scheduler.submit(graph, options()).wait().unwrap()[0], 7);
            for handle in parked {
                let control = handle.control();
                let canceller = std::thread::spawn(move || control.cancel());
                assert_eq!(handle.wait().err().as_deref(), Some("cancelled"));
                canceller.join().unwrap();
            }
        }
    });
}

#[test]
fn a_poke_between_the_question_and_its_answer_is_not_lost() {
    /// Opens, and pokes from another thread, while it still answers "no". Also shows that a poke takes no lock that is
    /// held during the question.
    struct Slow {
        open: AtomicBool,
        control: OnceLock<GraphControl<u64, String>>,
    }
    impl Gate for Slow {
        fn admits(&self, _order: u64) -> bool {
            let answer = self.open.load(Ordering::SeqCst);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let control = self.control.wait();
                    self.open.store(true, Ordering::SeqCst);
                    control.gate_changed();
                });
            });
            answer
        }
    }
    watched(|| {
        for scheduler in arms() {
            let gate = Arc::new(Slow { open: AtomicBool::new(false), control: OnceLock::new() });
            let mut graph: Graph<u64, String> = Graph::new();
            graph.add(Task::producer("read", 0, |_, _| Ok(Outcome::Value(0))));
            let handle = scheduler.submit(graph, options().gate(Arc::clone(&gate) as Arc<dyn Gate>));
            assert!(gate.control.set(handle.control()).is_ok());
            handle.wait().unwrap();
        }
    });
}

/// A queue between tasks and a thread outside the pool; its lock is taken by the gate and held during pokes.
struct Outlet {
    items: Mutex<VecDeque<u64>>,
    filled: Condvar,
    capacity: usize,
}

impl Gate for Outlet {
    fn admits(&self, _order: u64) -> bool {
        self.items.lock().len() < self.capacity
    }
}

#[test]
fn no_poke_is_lost_between_producers_and_a_slow_reader() {
    watched(|| {
        for scheduler in arms() {
            for capacity in [1, 3] {
                let count = 3000;
                let outlet = Arc::new(Outlet { items: Mutex::default(), filled: Condvar::new(), capacity });
                let mut graph: Graph<(), String> = Graph::new();
                for order in 0..count {
                    let outlet = Arc::clone(&outlet);
                    graph.add(Task::producer("read", order, move |_, _| {
                        outlet.items.lock().push_back(order);
                        outlet.filled.notify_one();
                        Ok(Outcome::Value(()))
                    }));
                }
                let handle = scheduler.submit(graph, options().gate(Arc::clone(&outlet) as Arc<dyn Gate>));
                let control = handle.control();
                let reader = std::thread::spawn(move || {
                    let mut seen = Vec::new();
                    while seen.len() < count as usize {
                        let mut items = outlet.items.lock();
                        outlet.filled.wait_while(&mut items, |items| items.is_empty());
                        assert!(items.len() <= capacity + 4, "the gate holds nothing back");
                        seen.extend(items.pop_front());
                        control.gate_changed();
                    }
                    seen.sort_unstable();
                    assert!(seen.into_iter().eq(0..count));
                });
                handle.wait().unwrap();
                reader.join().unwrap();
            }
        }
    });
}
