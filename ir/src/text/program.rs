//! The text of event programs.

use std::fmt::Write as _;

use super::lexer::{Line, Lines, Parsed};
use super::{Externals, connection, name, numbers, string, values};
use crate::connection::Connection;
use crate::diagnostic::Diagnostics;
use crate::entity::{Entity, PrimaryMap};
use crate::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Chan, Channel, Cmp, Coef, Coefficient,
    CoefficientValue, Curve, Delays, Domain, Fold, Handler, HandlerKind, Op, Outgoing, Output,
    Proc, Process, Program, Role, Row, SpikeTape, Stmt, Tensor, TensorDecl, Unary, Value,
};

/// Prints a program.
pub fn print_program(program: &Program) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "program {} ticks = {} dt = {:?} first_tick = {} replicas = {}{} {{",
        name(&program.name),
        program.ticks,
        program.dt,
        program.first_tick,
        program.replicas,
        window(program.window)
    );
    for (id, tensor) in program.tensors.iter() {
        let _ = writeln!(
            out,
            "  {id} {} : f32[{}, {}] {} = {}",
            name(&tensor.name),
            tensor.rows,
            tensor.lanes,
            if tensor.trainable {
                "trainable"
            } else {
                "constant"
            },
            values(&tensor.values)
        );
    }
    for (id, channel) in program.channels.iter() {
        let _ = writeln!(
            out,
            "  {id} : {} -> {} delay {}{}{} {}; {} -> {}{}",
            channel.from,
            channel.to,
            channel.delay,
            delays(channel.delays),
            bound(channel.bound),
            kind_of(&channel.connection),
            name(&program.processes[channel.from].name),
            name(&program.processes[channel.to].name),
            delays_name(program, channel)
        );
        connection::print(&mut out, "    ", &channel.connection);
    }
    for (id, process) in program.processes.iter() {
        out.push('\n');
        print_process(&mut out, id, process);
    }
    out.push_str("}\n");
    out
}

fn window(window: Option<u32>) -> String {
    window.map_or_else(String::new, |bins| format!(" window = {bins}"))
}

fn delays(delays: Option<Delays>) -> String {
    let Some(Delays { values, gradient }) = delays else {
        return String::new();
    };
    let gradient = gradient.map_or_else(String::new, |array| format!(" gradient {array}"));
    format!(" delays {values}{gradient}")
}

/// What the consumer calls the delays, which the channel knows by number.
fn delays_name(program: &Program, channel: &Channel) -> String {
    let arrays = &program.processes[channel.to].arrays;
    let decl = channel.delays.and_then(|delays| arrays.get(delays.values));
    decl.map_or_else(String::new, |decl| {
        format!(", late by {}", name(&decl.name))
    })
}

fn bound(bound: Option<usize>) -> String {
    bound.map_or_else(String::new, |most| format!(" bound {most}"))
}

fn kind_of(connection: &Connection) -> &'static str {
    match connection {
        Connection::All => "",
        Connection::Taps(_) => "taps ",
    }
}

fn print_process(out: &mut String, id: Proc, process: &Process) {
    let role = match process.role {
        Role::Source => "source".to_owned(),
        Role::Neurons => "neurons".to_owned(),
        Role::Loss => "loss".to_owned(),
        Role::Optimiser(tensor) => format!("optimiser {tensor}"),
    };
    let output = match process.output {
        Output::Spikes => String::new(),
        Output::State(array) => format!(" emits {}", name(&process.arrays[array].name)),
        Output::Given => " emits values".to_owned(),
    };
    let _ = writeln!(
        out,
        "  {id} {} : {role} lanes {}{output} {{",
        name(&process.name),
        process.lanes
    );
    for (_, coef) in process.coefs.iter() {
        let value = match &coef.value {
            CoefficientValue::Uniform(v) => format!("{v:?}"),
            CoefficientValue::PerLane(v) => numbers(v),
        };
        let _ = writeln!(
            out,
            "    coef {} = {value} {}",
            name(&coef.name),
            string(&coef.formula)
        );
    }
    for (_, array) in process.arrays.iter() {
        let kind = match array.kind {
            ArrayKind::State { init } => format!("state {init:?}"),
            ArrayKind::Scalar { init } => format!("scalar {init:?}"),
            ArrayKind::Moment => "moment".into(),
            ArrayKind::Counter { init } => format!("counter {init:?}"),
            ArrayKind::Param(t) => format!("param {t}"),
            ArrayKind::Gradient(t) => format!("gradient {t}"),
            ArrayKind::Gathered => "gathered".into(),
            ArrayKind::Label => "label".into(),
            ArrayKind::GivenError => "given_error".into(),
            ArrayKind::Trace => "trace".into(),
        };
        let _ = writeln!(out, "    array {} : {kind}", name(&array.name));
    }
    if let Some(tape) = &process.tape {
        let fields: Vec<String> = tape.fields.iter().map(|f| name(f)).collect();
        let _ = writeln!(out, "    tape [{}]{}", fields.join(", "), bound(tape.bound));
    }
    for handler in &process.handlers {
        let _ = writeln!(
            out,
            "\n    on {} {} {{",
            kind_text(handler.kind),
            domain_text(handler.domain)
        );
        for stmt in &handler.body.stmts {
            let _ = writeln!(out, "      {}", stmt_text(process, stmt));
        }
        out.push_str("    }\n");
    }
    out.push_str("  }\n");
}

fn kind_text(kind: HandlerKind) -> String {
    match kind {
        HandlerKind::Event(chan) => format!("event {chan}"),
        HandlerKind::Tick => "tick".into(),
        HandlerKind::Turn => "turn".into(),
        HandlerKind::Message(chan) => format!("message {chan}"),
        HandlerKind::Value => "value".into(),
        HandlerKind::AdjointTick => "adjoint_tick".into(),
        HandlerKind::Spike => "spike".into(),
        HandlerKind::Gradient(chan) => format!("gradient {chan}"),
        HandlerKind::GradientTick => "gradient_tick".into(),
        HandlerKind::Cross => "cross".into(),
        HandlerKind::Window => "window".into(),
        HandlerKind::AdjointWindow => "adjoint_window".into(),
        HandlerKind::Gather => "gather".into(),
        HandlerKind::Measure => "measure".into(),
        HandlerKind::Schedule => "schedule".into(),
        HandlerKind::Update => "update".into(),
    }
}

fn domain_text(domain: Domain) -> &'static str {
    match domain {
        Domain::Lanes => "lanes",
        Domain::Lane => "lane",
        Domain::Synapses => "synapses",
        Domain::Scalar => "scalar",
    }
}

fn row_text(row: Row) -> &'static str {
    match row {
        Row::Source => "source",
        Row::Synapse => "synapse",
        Row::Tick => "bin",
    }
}

fn fold_text(fold: Fold) -> String {
    match fold {
        Fold::Add(x) => format!("add {x}"),
        Fold::Max(x) => format!("max {x}"),
        Fold::Fma(x, y) => format!("fma {x}, {y}"),
    }
}

fn stmt_text(process: &Process, stmt: &Stmt) -> String {
    let array = |a: Array| name(&process.arrays[a].name);
    match stmt {
        Stmt::Let(value, op) => format!("{value} = {}", op_text(process, op)),
        Stmt::Store(a, v) => format!("store {} = {v}", array(*a)),
        Stmt::StoreRow(a, row, v) => format!("store {}[{}] = {v}", array(*a), row_text(*row)),
        Stmt::Reduce(a, fold) => format!("reduce {} = {}", array(*a), fold_text(*fold)),
        Stmt::Send(Outgoing::Value(v)) => format!("send {v}"),
        Stmt::Send(Outgoing::Fold(fold)) => format!("send sum {}", fold_text(*fold)),
        Stmt::Spike { cond, time, fields } => {
            let fields: Vec<String> = fields.iter().map(|op| op_text(process, op)).collect();
            let time = time.map_or_else(String::new, |time| format!(" at {time}"));
            format!("spike when {cond}{time} record ({})", fields.join(") ("))
        }
        Stmt::Skip(cond) => format!("skip when {cond}"),
        Stmt::Probe(a, v) => format!("probe {} = {v}", array(*a)),
    }
}

fn op_text(process: &Process, op: &Op) -> String {
    let array = |a: Array| name(&process.arrays[a].name);
    match *op {
        Op::Const(x) => format!("const {x:?}"),
        Op::Coef(c) => format!("coef {}", name(&process.coefs[c].name)),
        Op::Load(a) => format!("load {}", array(a)),
        Op::LoadRow(a, row) => format!("load {}[{}]", array(a), row_text(row)),
        Op::Field(i) => format!("field {i}"),
        Op::Payload => "payload".into(),
        Op::Tick => "bin".into(),
        Op::Time => "time".into(),
        Op::Since => "since".into(),
        Op::Until => "until".into(),
        Op::Lane => "lane".into(),
        Op::Unary(op, a) => format!("{} {a}", unary_text(op)),
        Op::Binary(op, a, b) => format!("{} {a}, {b}", binary_text(op)),
        Op::Fma(a, b, c) => format!("fma {a}, {b}, {c}"),
        Op::Cmp(op, a, b) => format!("cmp {} {a}, {b}", cmp_text(op)),
        Op::Select(c, a, b) => format!("select {c}, {a}, {b}"),
        Op::Root {
            curve,
            p,
            q,
            threshold,
            from,
        } => format!("root {} {p}, {q}, {threshold}, {from}", curve_text(curve)),
    }
}

fn curve_text(curve: Curve) -> String {
    match curve {
        Curve::Cubic => "cubic".into(),
        Curve::Quartic => "quartic".into(),
        Curve::Power(n) => format!("power {n}"),
        Curve::Equal(rate) => format!("equal {rate}"),
    }
}

fn unary_text(op: Unary) -> &'static str {
    match op {
        Unary::Neg => "neg",
        Unary::Sqrt => "sqrt",
        Unary::Exp => "exp",
        Unary::Ln => "ln",
    }
}

fn binary_text(op: Binary) -> &'static str {
    match op {
        Binary::Add => "add",
        Binary::Sub => "sub",
        Binary::Mul => "mul",
        Binary::Div => "div",
    }
}

fn cmp_text(op: Cmp) -> &'static str {
    match op {
        Cmp::Gt => "gt",
        Cmp::Ge => "ge",
        Cmp::Lt => "lt",
        Cmp::Eq => "eq",
    }
}

/// Parses a program; `externals` gives the values of tensors that the text leaves out.
///
/// # Errors
/// Every line that does not parse.
pub fn parse_program(text: &str, externals: &Externals) -> Result<Program, Diagnostics> {
    let mut lines = Lines::new(text);
    let program = Parser {
        lines: &mut lines,
        externals,
    }
    .program();
    lines.finish(program)
}

struct Parser<'a> {
    lines: &'a mut Lines,
    externals: &'a Externals,
}

impl Parser<'_> {
    /// The next line, read by `f`; a problem is noted and nothing returned.
    fn line<T>(&mut self, f: impl FnOnce(&mut Self, &mut Line) -> Parsed<T>) -> Option<T> {
        let mut line = self.lines.next()?;
        match f(self, &mut line).and_then(|value| line.done().map(|()| value)) {
            Ok(value) => Some(value),
            Err(message) => {
                self.lines.problem(line.number, message);
                None
            }
        }
    }

    fn program(&mut self) -> Option<Program> {
        let mut program = self.line(|_, line| {
            line.expect("program")?;
            let program = Program {
                name: line.name()?,
                ticks: line.field("ticks")?,
                dt: line.field("dt")?,
                first_tick: line.field("first_tick")?,
                replicas: line.field("replicas")?,
                window: window_field(line)?,
                tensors: PrimaryMap::new(),
                processes: PrimaryMap::new(),
                channels: PrimaryMap::new(),
            };
            line.expect("{")?;
            Ok(program)
        })?;
        loop {
            let first = self.lines.peek()?.to_owned();
            if first == "}" {
                self.line(|_, line| line.expect("}"));
                return Some(program);
            } else if first.starts_with("tensor") {
                self.tensor(&mut program);
            } else if first.starts_with("chan") {
                self.channel(&mut program);
            } else if first.starts_with("proc") {
                self.process(&mut program);
            } else {
                self.line(|_, _| Err::<(), _>(format!("unexpected `{first}`")));
            }
        }
    }

    fn tensor(&mut self, program: &mut Program) {
        let next = program.tensors.len();
        let tensor = self.line(|parser, line| {
            in_order(line.entity::<Tensor>("tensor")?, next)?;
            let name = line.name()?;
            line.expect(":")?;
            line.expect("f32")?;
            let shape: Vec<usize> = line.list()?;
            let [rows, lanes] = shape[..] else {
                return Err("a tensor has two dimensions".into());
            };
            let trainable = match line.word()?.as_str() {
                "trainable" => true,
                "constant" => false,
                other => return Err(format!("expected trainable or constant, found `{other}`")),
            };
            line.expect("=")?;
            let values = line.values(&name, parser.externals)?;
            if Some(values.len()) != rows.checked_mul(lanes) {
                return Err(format!(
                    "{} values for a tensor of {rows} x {lanes}",
                    values.len()
                ));
            }
            Ok(TensorDecl {
                name,
                rows,
                lanes,
                values,
                trainable,
            })
        });
        program.tensors.extend_one(tensor);
    }

    fn channel(&mut self, program: &mut Program) {
        let next = program.channels.len();
        let channel = self.line(|_, line| {
            in_order(line.entity::<Chan>("chan")?, next)?;
            line.expect(":")?;
            let from = line.entity("proc")?;
            line.expect("->")?;
            let to = line.entity("proc")?;
            line.expect("delay")?;
            let delay = line.number()?;
            let delays = optional_delays(line)?;
            let bound = optional_bound(line)?;
            let connection = if line.accept("taps") {
                Connection::Taps(Vec::new())
            } else {
                Connection::All
            };
            Ok(Channel {
                from,
                to,
                delay,
                delays,
                connection,
                bound,
            })
        });
        let Some(mut channel) = channel else { return };
        if let Connection::Taps(axes) = &mut channel.connection {
            *axes = connection::axes(self.lines);
        }
        program.channels.push(channel);
    }

    fn process(&mut self, program: &mut Program) -> Option<()> {
        let next = program.processes.len();
        let mut head = self.line(|_, line| {
            in_order(line.entity::<Proc>("proc")?, next)?;
            let name = line.name()?;
            line.expect(":")?;
            let role = match line.word()?.as_str() {
                "source" => Role::Source,
                "neurons" => Role::Neurons,
                "loss" => Role::Loss,
                "optimiser" => Role::Optimiser(line.entity("tensor")?),
                other => return Err(format!("unknown role `{other}`")),
            };
            line.expect("lanes")?;
            let lanes = line.number()?;
            let emits = if line.accept("emits") {
                Some(line.name()?)
            } else {
                None
            };
            line.expect("{")?;
            let process = Process {
                name,
                role,
                lanes,
                coefs: PrimaryMap::new(),
                arrays: PrimaryMap::new(),
                output: Output::Spikes,
                tape: None,
                handlers: Vec::new(),
            };
            Ok((process, emits, line.number))
        })?;
        let (process, emits, number) = &mut head;
        loop {
            match self.lines.peek()? {
                "coef" => {
                    let coef = self.line(|_, line| coefficient(line));
                    process.coefs.extend_one(coef);
                }
                "array" => {
                    let array = self.line(|_, line| array(line));
                    process.arrays.extend_one(array);
                }
                "tape" => process.tape = self.line(|_, line| tape(line)),
                "on" => {
                    if let Some(handler) = self.handler(process) {
                        process.handlers.push(handler);
                    }
                }
                _ => {
                    self.line(|_, line| line.expect("}"));
                    match output(process, emits.as_deref()) {
                        Ok(output) => process.output = output,
                        Err(message) => self.lines.problem(*number, message),
                    }
                    program.processes.push(head.0);
                    return Some(());
                }
            }
        }
    }

    fn handler(&mut self, process: &Process) -> Option<Handler> {
        let mut handler = self.line(|_, line| {
            line.expect("on")?;
            let kind = match line.word()?.as_str() {
                "event" => HandlerKind::Event(line.entity("chan")?),
                "tick" => HandlerKind::Tick,
                "turn" => HandlerKind::Turn,
                "message" => HandlerKind::Message(line.entity("chan")?),
                "value" => HandlerKind::Value,
                "adjoint_tick" => HandlerKind::AdjointTick,
                "spike" => HandlerKind::Spike,
                "gradient" => HandlerKind::Gradient(line.entity("chan")?),
                "gradient_tick" => HandlerKind::GradientTick,
                "cross" => HandlerKind::Cross,
                "window" => HandlerKind::Window,
                "adjoint_window" => HandlerKind::AdjointWindow,
                "gather" => HandlerKind::Gather,
                "measure" => HandlerKind::Measure,
                "schedule" => HandlerKind::Schedule,
                "update" => HandlerKind::Update,
                other => return Err(format!("unknown handler `{other}`")),
            };
            let domain = match line.word()?.as_str() {
                "lanes" => Domain::Lanes,
                "lane" => Domain::Lane,
                "synapses" => Domain::Synapses,
                "scalar" => Domain::Scalar,
                other => return Err(format!("unknown domain `{other}`")),
            };
            line.expect("{")?;
            Ok(Handler {
                kind,
                domain,
                body: Body::default(),
            })
        })?;
        while self.lines.peek()? != "}" {
            let names = Names { process };
            let values = handler.body.values;
            if let Some(stmt) = self.line(|_, line| names.stmt(line, values)) {
                handler.body.values += usize::from(matches!(stmt, Stmt::Let(..)));
                handler.body.stmts.push(stmt);
            }
        }
        self.line(|_, line| line.expect("}"));
        Some(handler)
    }
}

impl<K: Entity, V> PrimaryMap<K, V> {
    fn extend_one(&mut self, value: Option<V>) {
        if let Some(value) = value {
            self.push(value);
        }
    }
}

fn in_order<E: Entity>(entity: E, next: usize) -> Parsed<()> {
    if entity.index() == next {
        Ok(())
    } else {
        Err(format!("{entity} stands where {} is due", E::new(next)))
    }
}

fn coefficient(line: &mut Line) -> Parsed<Coefficient> {
    line.expect("coef")?;
    let name = line.name()?;
    line.expect("=")?;
    let value = if matches!(line.peek(), Some(super::lexer::Token::Mark("["))) {
        CoefficientValue::PerLane(line.numbers()?)
    } else {
        CoefficientValue::Uniform(line.number()?)
    };
    Ok(Coefficient {
        name,
        formula: line.name()?,
        value,
    })
}

fn array(line: &mut Line) -> Parsed<ArrayDecl> {
    line.expect("array")?;
    let name = line.name()?;
    line.expect(":")?;
    let kind = match line.word()?.as_str() {
        "state" => ArrayKind::State {
            init: line.number()?,
        },
        "scalar" => ArrayKind::Scalar {
            init: line.number()?,
        },
        "moment" => ArrayKind::Moment,
        "counter" => ArrayKind::Counter {
            init: line.number()?,
        },
        "param" => ArrayKind::Param(line.entity("tensor")?),
        "gradient" => ArrayKind::Gradient(line.entity("tensor")?),
        "gathered" => ArrayKind::Gathered,
        "label" => ArrayKind::Label,
        "given_error" => ArrayKind::GivenError,
        "trace" => ArrayKind::Trace,
        other => return Err(format!("unknown array kind `{other}`")),
    };
    Ok(ArrayDecl { name, kind })
}

fn tape(line: &mut Line) -> Parsed<SpikeTape> {
    line.expect("tape")?;
    line.expect("[")?;
    let mut fields = Vec::new();
    while !line.accept("]") {
        if !fields.is_empty() {
            line.expect(",")?;
        }
        fields.push(line.name()?);
    }
    Ok(SpikeTape {
        fields,
        bound: optional_bound(line)?,
    })
}

fn optional_delays(line: &mut Line) -> Parsed<Option<Delays>> {
    if !line.accept("delays") {
        return Ok(None);
    }
    let values = line.entity("arr")?;
    let gradient = if line.accept("gradient") {
        Some(line.entity("arr")?)
    } else {
        None
    };
    Ok(Some(Delays { values, gradient }))
}

fn optional_bound(line: &mut Line) -> Parsed<Option<usize>> {
    if line.accept("bound") {
        Ok(Some(line.number()?))
    } else {
        Ok(None)
    }
}

fn window_field(line: &mut Line) -> Parsed<Option<u32>> {
    if line.accept("window") {
        line.expect("=")?;
        Ok(Some(line.number()?))
    } else {
        Ok(None)
    }
}

/// What leaves a process: sources have values of their own, neurons a state's.
fn output(process: &Process, emits: Option<&str>) -> Parsed<Output> {
    match emits {
        None => Ok(Output::Spikes),
        Some("values") if process.role == Role::Source => Ok(Output::Given),
        Some(state) => process
            .array(state)
            .map(Output::State)
            .ok_or_else(|| format!("no array is called `{state}`")),
    }
}

/// Resolves the names that statements use.
struct Names<'a> {
    process: &'a Process,
}

impl Names<'_> {
    fn array(&self, line: &mut Line) -> Parsed<(Array, Option<Row>)> {
        let name = line.name()?;
        let array = self
            .process
            .array(&name)
            .ok_or_else(|| format!("no array is called `{name}`"))?;
        let row = if line.accept("[") {
            let row = match line.word()?.as_str() {
                "source" => Row::Source,
                "synapse" => Row::Synapse,
                "bin" => Row::Tick,
                other => return Err(format!("unknown row `{other}`")),
            };
            line.expect("]")?;
            Some(row)
        } else {
            None
        };
        Ok((array, row))
    }

    fn coef(&self, line: &mut Line) -> Parsed<Coef> {
        let name = line.name()?;
        self.process
            .coefs
            .iter()
            .find(|(_, c)| c.name == name)
            .map(|(id, _)| id)
            .ok_or_else(|| format!("no coefficient is called `{name}`"))
    }

    fn stmt(&self, line: &mut Line, values: usize) -> Parsed<Stmt> {
        match line.word()?.as_str() {
            "store" => {
                let (array, row) = self.array(line)?;
                line.expect("=")?;
                let value = line.entity("v")?;
                Ok(match row {
                    Some(row) => Stmt::StoreRow(array, row, value),
                    None => Stmt::Store(array, value),
                })
            }
            "reduce" => {
                let (array, _) = self.array(line)?;
                line.expect("=")?;
                Ok(Stmt::Reduce(array, fold(line)?))
            }
            "send" if line.accept("sum") => Ok(Stmt::Send(Outgoing::Fold(fold(line)?))),
            "send" => Ok(Stmt::Send(Outgoing::Value(line.entity("v")?))),
            "spike" => self.spike(line),
            "skip" => {
                line.expect("when")?;
                Ok(Stmt::Skip(line.entity("v")?))
            }
            "probe" => {
                let (array, _) = self.array(line)?;
                line.expect("=")?;
                Ok(Stmt::Probe(array, line.entity("v")?))
            }
            word => {
                let value = word
                    .strip_prefix('v')
                    .and_then(|digits| digits.parse::<u32>().ok())
                    .ok_or_else(|| format!("unknown statement `{word}`"))?;
                let value = Value::new(value as usize);
                in_order(value, values)?;
                line.expect("=")?;
                Ok(Stmt::Let(value, self.op(line)?))
            }
        }
    }

    fn spike(&self, line: &mut Line) -> Parsed<Stmt> {
        line.expect("when")?;
        let cond = line.entity("v")?;
        let time = match line.accept("at") {
            true => Some(line.entity("v")?),
            false => None,
        };
        line.expect("record")?;
        let mut fields = Vec::new();
        while !line.is_done() {
            line.expect("(")?;
            if line.accept(")") {
                continue;
            }
            fields.push(self.op(line)?);
            line.expect(")")?;
        }
        Ok(Stmt::Spike { cond, time, fields })
    }

    fn op(&self, line: &mut Line) -> Parsed<Op> {
        let word = line.word()?;
        if let Some(op) = UNARY.into_iter().find(|op| unary_text(*op) == word) {
            return Ok(Op::Unary(op, line.entity("v")?));
        }
        if let Some(op) = BINARY.into_iter().find(|op| binary_text(*op) == word) {
            let (a, b) = pair(line)?;
            return Ok(Op::Binary(op, a, b));
        }
        Ok(match word.as_str() {
            "const" => Op::Const(line.number()?),
            "coef" => Op::Coef(self.coef(line)?),
            "load" => match self.array(line)? {
                (array, Some(row)) => Op::LoadRow(array, row),
                (array, None) => Op::Load(array),
            },
            "field" => Op::Field(line.number()?),
            "payload" => Op::Payload,
            "bin" => Op::Tick,
            "time" => Op::Time,
            "since" => Op::Since,
            "until" => Op::Until,
            "lane" => Op::Lane,
            "root" => root(line)?,
            "fma" => {
                let (a, b) = pair(line)?;
                line.expect(",")?;
                Op::Fma(a, b, line.entity("v")?)
            }
            "cmp" => {
                let word = line.word()?;
                let cmp = CMP
                    .into_iter()
                    .find(|op| cmp_text(*op) == word)
                    .ok_or_else(|| format!("unknown comparison `{word}`"))?;
                let (a, b) = pair(line)?;
                Op::Cmp(cmp, a, b)
            }
            "select" => {
                let (c, a) = pair(line)?;
                line.expect(",")?;
                Op::Select(c, a, line.entity("v")?)
            }
            other => return Err(format!("unknown operation `{other}`")),
        })
    }
}

const UNARY: [Unary; 4] = [Unary::Neg, Unary::Sqrt, Unary::Exp, Unary::Ln];
const BINARY: [Binary; 4] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div];
const CMP: [Cmp; 4] = [Cmp::Gt, Cmp::Ge, Cmp::Lt, Cmp::Eq];

fn root(line: &mut Line) -> Parsed<Op> {
    let curve = match line.word()?.as_str() {
        "cubic" => Curve::Cubic,
        "quartic" => Curve::Quartic,
        "power" => Curve::Power(line.entity("v")?),
        "equal" => Curve::Equal(line.entity("v")?),
        other => return Err(format!("unknown curve `{other}`")),
    };
    let (p, q) = pair(line)?;
    line.expect(",")?;
    let (threshold, from) = pair(line)?;
    Ok(Op::Root {
        curve,
        p,
        q,
        threshold,
        from,
    })
}

fn pair(line: &mut Line) -> Parsed<(Value, Value)> {
    let a = line.entity("v")?;
    line.expect(",")?;
    Ok((a, line.entity("v")?))
}

fn fold(line: &mut Line) -> Parsed<Fold> {
    Ok(match line.word()?.as_str() {
        "add" => Fold::Add(line.entity("v")?),
        "max" => Fold::Max(line.entity("v")?),
        "fma" => {
            let (a, b) = pair(line)?;
            Fold::Fma(a, b)
        }
        other => return Err(format!("unknown fold `{other}`")),
    })
}
