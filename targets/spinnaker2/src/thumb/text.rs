//! The text of an instruction, letter for letter as GNU objdump prints it: mnemonic, tab, operands, and after another tab
//! the comment it adds (a large constant in hexadecimal, the target of a literal load).

use std::fmt::{self, Write as _};

use super::encode::Code;
use super::inst::{AluOp, CompareOp, Inst, Mode, MoveOp};
use super::operand::{Addr, Cond, Reg, Shift, Src};

/// Where an instruction stands, as far as its text depends on it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Its address.
    pub addr: u32,
    /// The condition an `IT` block puts on it.
    pub cond: Option<Cond>,
    /// What stands in angle brackets behind an address, such as `forward+0x10`; empty for nothing.
    pub symbol: &'a dyn Fn(u32) -> String,
}

impl Inst {
    /// Its text at a place. An instruction without an encoding is printed as its longer form.
    #[must_use]
    pub fn text(&self, place: Place<'_>) -> String {
        let narrow = matches!(self.encode_in(place.cond), Ok(Code::Narrow(_)));
        let mut printer = Printer {
            place,
            narrow,
            out: String::new(),
        };
        // Writing to a string cannot fail.
        let _ = printer.inst(self);
        printer.out
    }
}

/// The text outside an `IT` block at address 0, without symbols.
impl fmt::Display for Inst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Place {
            addr: 0,
            cond: None,
            symbol: &|_| String::new(),
        }))
    }
}

struct Printer<'a> {
    place: Place<'a>,
    narrow: bool,
    out: String,
}

impl Printer<'_> {
    /// Mnemonic with condition and suffix, and the tab.
    fn name(&mut self, base: &str, suffix: &str) -> fmt::Result {
        self.out.push_str(base);
        if let Some(cond) = self.place.cond {
            write!(self.out, "{cond}")?;
        }
        self.out.push_str(suffix);
        self.out.push('\t');
        Ok(())
    }

    /// The same for an instruction whose 32-bit form is marked.
    fn name_w(&mut self, base: &str) -> fmt::Result {
        self.name(base, if self.narrow { "" } else { ".w" })
    }

    /// The comment objdump adds for a constant that is easier to read in hexadecimal.
    fn hex_comment(&mut self, value: i64) -> fmt::Result {
        if !(-16..=32).contains(&value) {
            write!(self.out, "\t@ 0x{:x}", value as u32)?;
        }
        Ok(())
    }

    fn target(&mut self, addr: u32) -> fmt::Result {
        write!(self.out, "{addr:x}")?;
        let symbol = (self.place.symbol)(addr);
        if !symbol.is_empty() {
            write!(self.out, " <{symbol}>")?;
        }
        Ok(())
    }

    fn branch_target(&mut self, offset: i32) -> fmt::Result {
        let addr = self.place.addr.wrapping_add(4).wrapping_add_signed(offset);
        self.target(addr)
    }

    fn literal_addr(&mut self, offset: i32) -> fmt::Result {
        if offset == 0 && !self.narrow {
            self.out.push_str("[pc]\t@ ");
            return Ok(());
        }
        write!(self.out, "[pc, #{offset}]\t@ ")
    }

    fn literal_target(&self, offset: i32) -> u32 {
        (self.place.addr.wrapping_add(4) & !3).wrapping_add_signed(offset)
    }

    fn inst(&mut self, inst: &Inst) -> fmt::Result {
        match *inst {
            Inst::Move { op, s, rd, src } => self.mov(op, s, rd, src),
            Inst::Movw { rd, imm } => self.mov_half("movw", rd, imm),
            Inst::Movt { rd, imm } => self.mov_half("movt", rd, imm),
            Inst::Alu { op, s, rd, rn, src } => self.alu(op, s, rd, rn, src),
            Inst::Compare { op, rn, src } => {
                if op == CompareOp::Teq {
                    self.name("teq", "")?;
                } else {
                    self.name_w(op.mnemonic())?;
                }
                write!(self.out, "{rn}, ")?;
                self.src(src)
            }
            Inst::Shift { op, s, rd, rn, rm } => {
                self.name_w(&format!("{}{}", op.mnemonic(), flag(s)))?;
                if self.narrow {
                    write!(self.out, "{rd}, {rm}")
                } else {
                    write!(self.out, "{rd}, {rn}, {rm}")
                }
            }
            Inst::Mul { s, rd, rn, rm } => {
                self.name_w(&format!("mul{}", flag(s)))?;
                if self.narrow {
                    let other = if rd == rm { rn } else { rm };
                    write!(self.out, "{rd}, {other}")
                } else {
                    write!(self.out, "{rd}, {rn}, {rm}")
                }
            }
            Inst::MulAcc { op, rd, rn, rm, ra } => {
                self.name(op.mnemonic(), "")?;
                write!(self.out, "{rd}, {rn}, {rm}, {ra}")
            }
            Inst::MulLong { op, lo, hi, rn, rm } => {
                self.name(op.mnemonic(), "")?;
                write!(self.out, "{lo}, {hi}, {rn}, {rm}")
            }
            Inst::Div { signed, rd, rn, rm } => {
                self.name(if signed { "sdiv" } else { "udiv" }, "")?;
                write!(self.out, "{rd}, {rn}, {rm}")
            }
            Inst::Extend { op, rd, rm } => {
                self.name_w(op.mnemonic())?;
                write!(self.out, "{rd}, {rm}")
            }
            Inst::Extract {
                signed,
                rd,
                rn,
                lsb,
                width,
            } => {
                self.name(if signed { "sbfx" } else { "ubfx" }, "")?;
                write!(self.out, "{rd}, {rn}, #{lsb}, #{width}")
            }
            Inst::Bfi { rd, rn, lsb, width } => {
                self.name("bfi", "")?;
                write!(self.out, "{rd}, {rn}, #{lsb}, #{width}")
            }
            Inst::Bfc { rd, lsb, width } => {
                self.name("bfc", "")?;
                write!(self.out, "{rd}, #{lsb}, #{width}")
            }
            Inst::Bits { op, rd, rm } => {
                if op == super::inst::BitsOp::Rev {
                    self.name_w(op.mnemonic())?;
                } else {
                    self.name(op.mnemonic(), "")?;
                }
                write!(self.out, "{rd}, {rm}")
            }
            Inst::Saturate {
                signed,
                rd,
                bits,
                rn,
            } => {
                self.name(if signed { "ssat" } else { "usat" }, "")?;
                write!(self.out, "{rd}, #{bits}, {rn}")
            }

            Inst::Load { op, rt, addr } => {
                self.name_w(op.mnemonic())?;
                write!(self.out, "{rt}, ")?;
                self.addr(addr)
            }
            Inst::Store { op, rt, addr } => {
                self.name_w(op.mnemonic())?;
                write!(self.out, "{rt}, ")?;
                self.addr(addr)
            }
            Inst::LoadPair { rt, rt2, addr } => self.pair("ldrd", rt, rt2, addr),
            Inst::StorePair { rt, rt2, addr } => self.pair("strd", rt, rt2, addr),
            Inst::LoadMany {
                mode: Mode::Ia,
                base: Reg::Sp,
                writeback: true,
                regs,
            }
            | Inst::Pop { regs } => self.stack("pop", "ldmia.w\tsp!, ", "ldr", "[sp], #4", regs),
            Inst::StoreMany {
                mode: Mode::Db,
                base: Reg::Sp,
                writeback: true,
                regs,
            }
            | Inst::Push { regs } => self.stack("push", "stmdb\tsp!, ", "str", "[sp, #-4]!", regs),
            Inst::LoadMany {
                mode,
                base,
                writeback,
                regs,
            } => self.many("ldm", mode, base, writeback, &regs),
            Inst::StoreMany {
                mode,
                base,
                writeback,
                regs,
            } => self.many("stm", mode, base, writeback, &regs),
            Inst::LoadLiteral { rt, offset, .. } => {
                self.name_w("ldr")?;
                write!(self.out, "{rt}, ")?;
                self.literal_addr(offset)?;
                let target = self.literal_target(offset);
                if self.narrow {
                    self.out.push('(');
                    self.target(target)?;
                    self.out.push(')');
                    Ok(())
                } else {
                    self.target(target)
                }
            }
            Inst::Adr { rd, offset, .. } => self.adr(rd, offset),

            Inst::B { cond, offset, .. } => {
                let cond = cond.or(self.place.cond);
                let cond = cond.map(|c| c.to_string()).unwrap_or_default();
                let suffix = if self.narrow { "n" } else { "w" };
                write!(self.out, "b{cond}.{suffix}\t")?;
                self.branch_target(offset)
            }
            Inst::Bl { offset } => {
                self.name("bl", "")?;
                self.branch_target(offset)
            }
            Inst::Bx { rm } => {
                self.name("bx", "")?;
                write!(self.out, "{rm}")
            }
            Inst::Blx { rm } => {
                self.name("blx", "")?;
                write!(self.out, "{rm}")
            }
            Inst::Cbz {
                nonzero,
                rn,
                offset,
            } => {
                let name = if nonzero { "cbnz" } else { "cbz" };
                write!(self.out, "{name}\t{rn}, ")?;
                self.branch_target(offset)
            }
            Inst::It(block) => write!(self.out, "{block}"),

            Inst::Cps { enable } => {
                self.out
                    .push_str(if enable { "cpsie\ti" } else { "cpsid\ti" });
                Ok(())
            }
            Inst::Barrier { op } => {
                self.name(op.mnemonic(), "")?;
                self.out.push_str("sy");
                Ok(())
            }
            Inst::Hint { op } => {
                self.name(op.mnemonic(), "")?;
                self.out.pop(); // no operands, no tab
                Ok(())
            }
            Inst::Bkpt { imm } => write!(self.out, "bkpt\t0x{imm:04x}"),
            Inst::Svc { imm } => {
                self.name("svc", "")?;
                write!(self.out, "{imm}")?;
                self.hex_comment(imm.into())
            }
            Inst::Udf { imm } => {
                self.name("udf", "")?;
                write!(self.out, "#{imm}")?;
                self.hex_comment(imm.into())
            }
            Inst::Mrs { rd, sys } => {
                self.name("mrs", "")?;
                write!(self.out, "{rd}, {}", sys.mnemonic())
            }
            Inst::Msr { sys, rn } => {
                self.name("msr", "")?;
                let sys = match sys.mnemonic() {
                    "CPSR" => "CPSR_f",
                    name => name,
                };
                write!(self.out, "{sys}, {rn}")
            }
            _ => self.float(inst),
        }
    }

    fn float(&mut self, inst: &Inst) -> fmt::Result {
        match *inst {
            Inst::FArith { op, sd, sn, sm } => {
                self.name(op.mnemonic(), ".f32")?;
                write!(self.out, "{sd}, {sn}, {sm}")
            }
            Inst::FUnary { op, sd, sm } => {
                self.name(op.mnemonic(), ".f32")?;
                write!(self.out, "{sd}, {sm}")
            }
            Inst::FCompare { signal, sd, sm } => {
                self.name(if signal { "vcmpe" } else { "vcmp" }, ".f32")?;
                match sm {
                    Some(sm) => write!(self.out, "{sd}, {sm}"),
                    None => write!(self.out, "{sd}, #0.0"),
                }
            }
            Inst::FConvert { op, sd, sm } => {
                let name = op.mnemonic();
                let (base, types) = name.split_at(name.find('.').unwrap_or(name.len()));
                self.name(base, types)?;
                write!(self.out, "{sd}, {sm}")
            }
            Inst::FMoveImm { sd, imm } => {
                self.name("vmov", ".f32")?;
                let (code, value) = (imm.code(), imm.value());
                let bits = value.to_bits();
                write!(self.out, "{sd}, #{code}\t@ 0x{bits:08x}")?;
                let space = if value < 0.0 { "" } else { " " };
                let decimals = float_decimals(value);
                write!(self.out, " {space}{value:.decimals$}")
            }
            Inst::FMoveFromCore { sn, rt } => {
                self.name("vmov", "")?;
                write!(self.out, "{sn}, {rt}")
            }
            Inst::FMoveToCore { rt, sn } => {
                self.name("vmov", "")?;
                write!(self.out, "{rt}, {sn}")
            }
            Inst::FMovePairFromCore { sm, rt, rt2 } => {
                self.name("vmov", "")?;
                write!(self.out, "{sm}, s{}, {rt}, {rt2}", sm.index() + 1)
            }
            Inst::FMovePairToCore { rt, rt2, sm } => {
                self.name("vmov", "")?;
                write!(self.out, "{rt}, {rt2}, {sm}, s{}", sm.index() + 1)
            }
            Inst::FLoad { sd, base, offset } => {
                self.name("vldr", "")?;
                write!(self.out, "{sd}, ")?;
                self.float_addr(base, offset)
            }
            Inst::FStore { sd, base, offset } => {
                self.name("vstr", "")?;
                write!(self.out, "{sd}, ")?;
                self.float_addr(base, offset)
            }
            Inst::FLoadLiteral { sd, offset } => {
                self.name("vldr", "")?;
                write!(self.out, "{sd}, ")?;
                self.literal_addr(offset)?;
                self.target(self.literal_target(offset))
            }
            Inst::FLoadMany {
                mode: Mode::Ia,
                base: Reg::Sp,
                writeback: true,
                regs,
            }
            | Inst::FPop { regs } => {
                self.name("vpop", "")?;
                write!(self.out, "{regs}")
            }
            Inst::FStoreMany {
                mode: Mode::Db,
                base: Reg::Sp,
                writeback: true,
                regs,
            }
            | Inst::FPush { regs } => {
                self.name("vpush", "")?;
                write!(self.out, "{regs}")
            }
            Inst::FLoadMany {
                mode,
                base,
                writeback,
                regs,
            } => self.many("vldm", mode, base, writeback, &regs),
            Inst::FStoreMany {
                mode,
                base,
                writeback,
                regs,
            } => self.many("vstm", mode, base, writeback, &regs),
            Inst::FFlags => {
                self.name("vmrs", "")?;
                self.out.push_str("APSR_nzcv, fpscr");
                Ok(())
            }
            Inst::ReadFpscr { rt } => {
                self.name("vmrs", "")?;
                write!(self.out, "{rt}, fpscr")
            }
            Inst::WriteFpscr { rt } => {
                self.name("vmsr", "")?;
                write!(self.out, "fpscr, {rt}")
            }
            _ => Ok(()),
        }
    }

    fn mov(&mut self, op: MoveOp, s: bool, rd: Reg, src: Src) -> fmt::Result {
        // The 16-bit immediate shifts bear the shift's name, the 32-bit ones that of the move.
        if let (true, Src::Reg(rm, shift)) = (self.narrow, src)
            && let Some((name, by)) = shift_name(shift)
        {
            self.name(&format!("{name}{}", flag(s)), "")?;
            return write!(self.out, "{rd}, {rm}, #{by}");
        }
        let movw = matches!(src, Src::Imm(imm)
            if !self.narrow && super::encode::modified_immediate(imm).is_none());
        if movw {
            self.name("movw", "")?;
        } else {
            self.name_w(&format!("{}{}", op.mnemonic(), flag(s)))?;
        }
        write!(self.out, "{rd}, ")?;
        self.src(src)
    }

    fn mov_half(&mut self, name: &str, rd: Reg, imm: u16) -> fmt::Result {
        self.name(name, "")?;
        write!(self.out, "{rd}, #{imm}")?;
        self.hex_comment(imm.into())
    }

    fn alu(&mut self, op: AluOp, s: bool, rd: Reg, rn: Reg, src: Src) -> fmt::Result {
        let flags = flag(s);
        if self.narrow && op == AluOp::Rsb {
            self.name(&format!("neg{flags}"), "")?;
            return write!(self.out, "{rd}, {rn}");
        }
        let plain12 = !self.narrow
            && matches!(src, Src::Imm(imm) if super::encode::modified_immediate(imm).is_none());
        if plain12 {
            self.name(&format!("{}w", op.mnemonic()), "")?;
        } else if matches!(op, AluOp::Rsb | AluOp::Orn) {
            self.name(&format!("{}{flags}", op.mnemonic()), "")?;
        } else {
            self.name_w(&format!("{}{flags}", op.mnemonic()))?;
        }
        write!(self.out, "{rd}, ")?;
        if self.narrow {
            self.narrow_operands(op, s, rd, rn, src)
        } else {
            write!(self.out, "{rn}, ")?;
            self.src(src)
        }
    }

    /// What follows the destination in a 16-bit form: two operands where it has room for both, else the one that is not
    /// the destination.
    fn narrow_operands(&mut self, op: AluOp, s: bool, rd: Reg, rn: Reg, src: Src) -> fmt::Result {
        let adds = matches!(op, AluOp::Add | AluOp::Sub);
        match src {
            Src::Imm(imm) => {
                if rd != rn || (adds && rn == Reg::Sp && rd != Reg::Sp) {
                    write!(self.out, "{rn}, ")?;
                }
                write!(self.out, "#{imm}")?;
                self.hex_comment(imm.into())
            }
            Src::Reg(rm, _) => {
                let in_it = self.place.cond.is_some();
                let all_low = rd.is_low() && rn.is_low() && rm.is_low();
                if adds && all_low && s != in_it {
                    write!(self.out, "{rn}, {rm}")
                } else if rd == rn {
                    write!(self.out, "{rm}")
                } else {
                    write!(self.out, "{rn}")
                }
            }
        }
    }

    fn src(&mut self, src: Src) -> fmt::Result {
        match src {
            Src::Imm(imm) => {
                write!(self.out, "#{imm}")?;
                self.hex_comment(imm.into())
            }
            Src::Reg(rm, Shift::Rrx) => write!(self.out, "{rm}, rrx"),
            Src::Reg(rm, shift) => {
                write!(self.out, "{rm}")?;
                match shift_name(shift) {
                    Some((name, by)) => write!(self.out, ", {name} #{by}"),
                    None => Ok(()),
                }
            }
        }
    }

    fn addr(&mut self, addr: Addr) -> fmt::Result {
        match addr {
            Addr::Offset(base, imm) => {
                if imm == 0 && !self.narrow {
                    return write!(self.out, "[{base}]");
                }
                write!(self.out, "[{base}, #{imm}]")?;
                if imm >= 0 {
                    self.hex_comment(imm.into())?;
                }
                Ok(())
            }
            Addr::Pre(base, 0) => write!(self.out, "[{base}]!"),
            Addr::Pre(base, imm) => write!(self.out, "[{base}, #{imm}]!"),
            Addr::Post(base, imm) => write!(self.out, "[{base}], #{imm}"),
            Addr::Index(base, index, 0) => write!(self.out, "[{base}, {index}]"),
            Addr::Index(base, index, lsl) => {
                write!(self.out, "[{base}, {index}, lsl #{lsl}]")
            }
        }
    }

    fn pair(&mut self, name: &str, rt: Reg, rt2: Reg, addr: Addr) -> fmt::Result {
        self.name(name, "")?;
        write!(self.out, "{rt}, {rt2}, ")?;
        let imm = match addr {
            // objdump leaves out the exclamation mark of a base that moves by nothing.
            Addr::Offset(base, 0) | Addr::Pre(base, 0) => {
                write!(self.out, "[{base}]")?;
                0
            }
            Addr::Offset(base, imm) => {
                write!(self.out, "[{base}, #{imm}]")?;
                imm
            }
            Addr::Pre(base, imm) => {
                write!(self.out, "[{base}, #{imm}]!")?;
                imm
            }
            Addr::Post(base, imm) => {
                write!(self.out, "[{base}], #{imm}")?;
                imm
            }
            Addr::Index(base, index, lsl) => {
                write!(self.out, "[{base}, {index}, lsl #{lsl}]")?;
                0
            }
        };
        // Its comment shows the magnitude.
        self.hex_comment(imm.unsigned_abs().into())
    }

    fn stack(
        &mut self,
        name: &str,
        many: &str,
        one: &str,
        one_addr: &str,
        regs: super::operand::RegList,
    ) -> fmt::Result {
        if self.narrow {
            self.name(name, "")?;
            return write!(self.out, "{regs}");
        }
        if regs.len() == 1 {
            self.name(one, ".w")?;
            let reg = regs.iter().map(|r| r.to_string()).collect::<String>();
            return write!(self.out, "{reg}, {one_addr}");
        }
        let (mnemonic, operands) = many.split_at(many.find('\t').unwrap_or(many.len()));
        let (base, suffix) = mnemonic.split_at(mnemonic.find('.').unwrap_or(mnemonic.len()));
        self.name(base, suffix)?;
        write!(self.out, "{}{regs}", operands.trim_start())
    }

    fn many(
        &mut self,
        name: &str,
        mode: Mode,
        base: Reg,
        writeback: bool,
        regs: &dyn fmt::Display,
    ) -> fmt::Result {
        let float = name.starts_with('v');
        match mode {
            Mode::Ia if float || self.narrow => self.name(&format!("{name}ia"), "")?,
            Mode::Ia => self.name(&format!("{name}ia"), ".w")?,
            Mode::Db => self.name(&format!("{name}db"), "")?,
        }
        let mark = if writeback { "!" } else { "" };
        write!(self.out, "{base}{mark}, {regs}")
    }

    fn adr(&mut self, rd: Reg, offset: i32) -> fmt::Result {
        if self.narrow {
            self.name("add", "")?;
            write!(self.out, "{rd}, pc, #{offset}\t@ (adr {rd}, ")?;
            self.target(self.literal_target(offset))?;
            self.out.push(')');
            return Ok(());
        }
        self.name(if offset >= 0 { "addw" } else { "subw" }, "")?;
        let magnitude = offset.unsigned_abs();
        write!(self.out, "{rd}, pc, #{magnitude}")?;
        self.hex_comment(magnitude.into())
    }

    fn float_addr(&mut self, base: Reg, offset: i32) -> fmt::Result {
        if offset == 0 {
            return write!(self.out, "[{base}]");
        }
        write!(self.out, "[{base}, #{offset}]")?;
        self.hex_comment(offset.into())
    }
}

/// How many decimals objdump gives a float: 1, 3 or 7, the first that shows it exactly.
fn float_decimals(value: f32) -> usize {
    if (value * 10.0).fract() == 0.0 {
        1
    } else if (value * 1000.0).fract() == 0.0 {
        3
    } else {
        7
    }
}

fn flag(s: bool) -> &'static str {
    if s { "s" } else { "" }
}

fn shift_name(shift: Shift) -> Option<(&'static str, u8)> {
    match shift {
        Shift::Lsl(0) | Shift::Rrx => None,
        Shift::Lsl(n) => Some(("lsl", n)),
        Shift::Lsr(n) => Some(("lsr", n)),
        Shift::Asr(n) => Some(("asr", n)),
        Shift::Ror(n) => Some(("ror", n)),
    }
}
