//! An order for a graph: what is the same on every lane first, then one pass over the lanes.
//!
//! Values are computed just before they are needed and stored as soon as they are known, which keeps few of
//! them alive. A place is stored only after its load.

use nirc_ir::event::{Domain, Unary};

use super::graph::{Folded, Graph, Id, Node, Place, Root, Slot};

/// One step for all lanes of a block.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    Eval(Id),
    Store(Slot, Id),
    /// Index into [`Schedule::folds`].
    Fold(usize),
    /// Where `cond` holds: `fields` are recorded, then each of `selects` takes its first operand. Elsewhere
    /// the selects take their second, for which nothing has to be done.
    Spike {
        cond: Id,
        fields: Vec<Id>,
        selects: Vec<Id>,
    },
    Send(Id),
}

/// A fold over the lanes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct FoldTo {
    /// The scalar it ends in; `None` for the error that a message sends.
    pub(super) target: Option<Slot>,
    pub(super) fold: Folded,
}

/// A body in order.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Evaluated once; [`Step::Eval`] of uniform nodes only.
    pub(super) before: Vec<Step>,
    /// For each block of lanes.
    pub(super) body: Vec<Step>,
    pub(super) folds: Vec<FoldTo>,
    /// Fields that are computed only where a spike happens.
    rare: Vec<Id>,
}

impl Schedule {
    /// Orders a graph.
    pub(super) fn new(graph: &Graph) -> Self {
        let rare = rare_fields(graph);
        let mut needed = vec![false; graph.len()];
        for root in &graph.roots {
            for id in root_operands(graph, root, &rare) {
                need(graph, id, &mut needed);
            }
        }
        let mut builder = Builder {
            graph,
            needed,
            done: vec![false; graph.len()],
            stores: Vec::new(),
            schedule: Self {
                rare,
                ..Self::default()
            },
        };
        builder.run();
        builder.schedule
    }

    /// Whether the node is computed only where a spike happens.
    pub(super) fn is_rare(&self, id: Id) -> bool {
        self.rare.contains(&id)
    }

    /// The values that a step needs in registers.
    pub(super) fn operands(&self, graph: &Graph, step: &Step) -> Vec<Id> {
        match step {
            Step::Eval(id) => graph.operands(*id),
            Step::Store(_, id) | Step::Send(id) => vec![*id],
            Step::Fold(index) => self.folds[*index].fold.operands(),
            Step::Spike {
                cond,
                fields,
                selects,
            } => {
                let mut all = graph.operands(*cond);
                all.extend(
                    fields
                        .iter()
                        .flat_map(|&f| field_operands(graph, f, &self.rare)),
                );
                for &select in selects {
                    if let Node::Select(_, a, b) = graph.node(select) {
                        all.extend([a, b]);
                    }
                }
                all
            }
        }
    }

    /// Float registers that subroutines for mathematics change, one bit each.
    pub(super) fn clobbers(&self, graph: &Graph) -> u32 {
        let steps = self.before.iter().chain(&self.body);
        steps.fold(0, |all, step| match step {
            Step::Eval(id) => all | graph.clobbers(*id),
            _ => all,
        })
    }

    /// Whether any step calls a subroutine for mathematics.
    pub(super) fn calls(&self, graph: &Graph) -> bool {
        self.clobbers(graph) != 0
    }

    /// Whether lanes may spike.
    pub(super) fn spikes(&self) -> bool {
        self.body.iter().any(|s| matches!(s, Step::Spike { .. }))
    }
}

/// Fields that nothing but the spike needs and that are cheap enough to compute out of line.
fn rare_fields(graph: &Graph) -> Vec<Id> {
    let fields = graph.roots.iter().filter_map(|root| match root {
        Root::Spike { fields, .. } => Some(fields.as_slice()),
        _ => None,
    });
    let fields: Vec<Id> = fields.flatten().copied().collect();
    let mut elsewhere = vec![false; graph.len()];
    for root in &graph.roots {
        for id in root_operands(graph, root, &fields) {
            need(graph, id, &mut elsewhere);
        }
    }
    let rare = |id: &Id| {
        let cheap = matches!(
            graph.node(*id),
            Node::Unary(Unary::Neg | Unary::Sqrt, _) | Node::Binary(..) | Node::Fma(..)
        );
        cheap && !graph.is_uniform(*id) && !elsewhere[id.index()]
    };
    fields.into_iter().filter(rare).collect()
}

fn field_operands(graph: &Graph, field: Id, rare: &[Id]) -> Vec<Id> {
    if rare.contains(&field) {
        graph.operands(field)
    } else {
        vec![field]
    }
}

fn root_operands(graph: &Graph, root: &Root, rare: &[Id]) -> Vec<Id> {
    match root {
        Root::Spike { cond, fields, .. } => {
            let mut all = vec![*cond];
            all.extend(fields.iter().flat_map(|&f| field_operands(graph, f, rare)));
            all
        }
        Root::Reduce(_, fold) | Root::SendFold(fold) => fold.operands(),
        Root::Send(id) | Root::Store(_, id) | Root::Skip(id) => vec![*id],
    }
}

fn need(graph: &Graph, id: Id, needed: &mut [bool]) {
    if !std::mem::replace(&mut needed[id.index()], true) {
        for operand in graph.operands(id) {
            need(graph, operand, needed);
        }
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    needed: Vec<bool>,
    done: Vec<bool>,
    /// Stores not yet made.
    stores: Vec<(Slot, Id)>,
    schedule: Schedule,
}

impl Builder<'_> {
    fn run(&mut self) {
        let graph = self.graph;
        self.stores = graph.roots.iter().filter_map(store).collect();
        if graph.domain == Domain::Lane {
            // The lane's number is at hand only at the start.
            self.eval_all(|node| node == Node::Lane);
        }
        // Where it is, too.
        self.eval_all(|node| match node {
            Node::Load(slot) => graph.place(slot) == Place::Payload,
            _ => false,
        });
        for root in &graph.roots {
            if let Root::Spike { cond, fields, .. } = root {
                self.spike(*cond, fields);
            }
        }
        for root in &graph.roots {
            match root {
                Root::Spike { .. } => {}
                Root::Skip(_) => unreachable!("only `Cross` ends early"),
                Root::Store(_, id) => self.eval(*id),
                Root::Reduce(slot, fold) => self.fold(Some(*slot), *fold),
                Root::SendFold(fold) => self.fold(None, *fold),
                Root::Send(id) => self.eval(*id),
            }
        }
        // Last, because it takes a register that may hold something until here.
        let sent = graph.roots.iter().filter_map(|root| match root {
            Root::Send(id) => Some(Step::Send(*id)),
            _ => None,
        });
        self.schedule.body.extend(sent);
    }

    fn eval_all(&mut self, which: impl Fn(Node) -> bool) {
        for id in self.graph.ids() {
            if self.needed[id.index()] && which(self.graph.node(id)) {
                self.eval(id);
            }
        }
    }

    fn eval(&mut self, id: Id) {
        if self.done[id.index()] {
            return;
        }
        for operand in self.graph.operands(id) {
            self.eval(operand);
        }
        self.done[id.index()] = true;
        if matches!(self.graph.node(id), Node::Cmp(..)) {
            return;
        }
        if self.graph.is_uniform(id) {
            self.schedule.before.push(Step::Eval(id));
        } else {
            self.schedule.body.push(Step::Eval(id));
        }
        self.flush();
    }

    /// Makes the stores whose value is known and whose place has been loaded.
    fn flush(&mut self) {
        let (ready, rest) = self.stores.iter().partition(|(slot, id)| {
            let loaded = self.graph.load_of(*slot);
            let pending = |load: Id| self.needed[load.index()] && !self.done[load.index()];
            self.done[id.index()] && !loaded.is_some_and(pending)
        });
        self.stores = rest;
        let ready: Vec<(Slot, Id)> = ready;
        let steps = ready.into_iter().map(|(slot, id)| Step::Store(slot, id));
        self.schedule.body.extend(steps);
    }

    fn fold(&mut self, target: Option<Slot>, fold: Folded) {
        for operand in fold.operands() {
            self.eval(operand);
        }
        self.schedule.folds.push(FoldTo { target, fold });
        let index = self.schedule.folds.len() - 1;
        self.schedule.body.push(Step::Fold(index));
    }

    fn spike(&mut self, cond: Id, fields: &[Id]) {
        let graph = self.graph;
        self.eval(cond);
        for &field in fields {
            for operand in field_operands(graph, field, &self.schedule.rare) {
                self.eval(operand);
            }
        }
        let chosen = |id: &Id| match graph.node(*id) {
            Node::Select(c, _, _) => c == cond && !graph.is_uniform(*id),
            _ => false,
        };
        let wanted: Vec<Id> = graph.ids().filter(|id| self.needed[id.index()]).collect();
        let mut selects: Vec<Id> = wanted.into_iter().filter(chosen).collect();
        for &select in &selects {
            if let Node::Select(_, a, b) = graph.node(select) {
                self.eval(a);
                self.eval(b);
            }
        }
        // One select may have been an operand of another.
        selects.retain(|select| !self.done[select.index()]);
        for select in &selects {
            self.done[select.index()] = true;
        }
        let step = Step::Spike {
            cond,
            fields: fields.to_vec(),
            selects,
        };
        self.schedule.body.push(step);
        self.flush();
    }
}

fn store(root: &Root) -> Option<(Slot, Id)> {
    match root {
        Root::Store(slot, id) => Some((*slot, *id)),
        _ => None,
    }
}
