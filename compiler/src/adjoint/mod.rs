//! The adjoint of a forward program: EventProp, derived by transposition.
//!
//! A neuron process is linear between spikes. `flow` reads that linear system off the forward `Tick`
//! handler, whatever neuron it came from: per state `s` a decay `d_s`, couplings `c_sj` from other
//! states, a gain `g_s` on the arriving input, and one state with a threshold and a reset. With
//! `rho_s = 1 - d_s` every state relaxes towards its drive,
//!
//! ```text
//! s' = d_s s + rho_s (sum_j K_sj j + ...),     K_sj = c_sj / rho_s
//! ```
//!
//! the discretisation of `tau_s ds/dt = -s + sum_j K_sj j`. The adjoint system in the same normal form
//! has the couplings transposed and runs in reversed time, with the same decays:
//!
//! ```text
//! lambda_s' = d_s lambda_s + rho_s sum_k K_ks lambda_k
//! ```
//!
//! where every right-hand side uses values before the step. What keeps everything (an integrator) or nothing
//! (a threshold, a read-out in another unit) has no time constant; the tick's length stands for it, and `rho`
//! is 1. At an own spike the threshold state's adjoint jumps by `(J lambda_v + e) / (tau dv/dt)`, with `J` the
//! height of the reset jump (0 where the voltage does not leak, and so moves after the jump as before), `e`
//! the error that the consumers sent, and `tau dv/dt = drive - v` just before the reset, which the forward
//! pass records. Where a spike resets nothing, only the first of a run of spikes has a time that could move.
//! A value that leaves carries an error `e` in each tick, and `lambda_s -= e / tau_s`. A received spike of
//! weight `w` moves the driven states by `g w`, hence
//!
//! ```text
//! dL/dw    -= sum_s tau_s g_s lambda_s                                  (gradient)
//! dL/dt_j   = sum_n w_nj sum_s g_s (sum_k K_ks lambda_k - lambda_s)_n   (error sent back to source j)
//! ```
//!
//! without `- lambda_s` where `s` does not leak; a received value `u` in each tick likewise
//!
//! ```text
//! dL/dw    -= sum_s tau_s g_s lambda_s u
//! dL/du_j   = - sum_n w_nj sum_s tau_s g_s lambda_sn
//! ```
//!
//! (Wunderlich & Pehle, Sci. Rep. 11:12829, 2021, in the discretisation of `pytorch-eventprop`.) The
//! gradient is that of the continuous-time network, an approximation of first order in `dt`.

mod emit;
mod flow;
mod push;

use std::collections::BTreeMap;

use nirc_ir::event::{Proc, Program, Role};
use nirc_ir::network::Integrator;
use nirc_ir::{Diagnostic, Diagnostics, codes};

pub(crate) use push::{Costs, Push, label};

/// Whether an error that comes back to a process can change anything: neurons that something leads to.
fn learns(program: &Program, proc: Proc) -> bool {
    program.processes[proc].role == Role::Neurons && program.incoming(proc).next().is_some()
}

/// Adds adjoint handlers to every neuron process; `pushes` says what the numbers of spikes of a process cost,
/// in batches of so many samples.
///
/// # Errors
/// A diagnostic per population whose forward program is not of the form described above.
pub(crate) fn derive(
    program: &mut Program,
    integrator: Integrator,
    pushes: &BTreeMap<Proc, Vec<Push>>,
    batch: usize,
) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    let neurons: Vec<Proc> = program
        .processes
        .iter()
        .map(|(id, _)| id)
        .filter(|proc| learns(program, *proc))
        .collect();
    for proc in neurons {
        let process = &program.processes[proc];
        match flow::extract(process, program.dt, integrator) {
            Ok(flow) => {
                emit::handlers(program, proc, &flow);
                let pushes = pushes.get(&proc).map_or(&[][..], Vec::as_slice);
                let first_tick = program.first_tick;
                let process = &mut program.processes[proc];
                push::add(process, &flow, pushes, batch, first_tick);
            }
            Err(reason) => problems.push(
                Diagnostic::error(codes::ADJOINT_UNSUPPORTED, &process.name, reason)
                    .help("EventProp needs a linear flow and one threshold per neuron"),
            ),
        }
    }
    problems.into_result(())
}
