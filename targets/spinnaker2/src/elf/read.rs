//! Reading.

use object::LittleEndian as LE;
use object::elf::{self, FileHeader32, ProgramHeader32, SectionHeader32, Sym32};
use object::read::elf::{
    FileHeader as _, ProgramHeader as _, SectionHeader as _, SectionTable, Sym as _, SymbolTable,
};

use super::write::{FLAGS, mapping_name};
use super::{Block, ElfError, Image, ImageSymbol, Range, Section};
use crate::thumb::{Mapping, MappingKind, SymbolKind};

type Header = FileHeader32<LE>;
type Result<T> = std::result::Result<T, ElfError>;

impl Image {
    /// Reads an image back. A file that breaks any invariant is refused.
    pub fn parse(file: &[u8]) -> Result<Image> {
        let header = Header::parse(file).map_err(format)?;
        check_header(header)?;
        let sections = header.sections(LE, file).map_err(format)?;
        let segments = header.program_headers(LE, file).map_err(format)?;
        let mut reader = Reader {
            file,
            sections: &sections,
            segments,
            indices: Vec::new(),
            image: Image {
                entry: header.e_entry(LE),
                text: Block::default(),
                rodata: Block::default(),
                data: Block::default(),
                bss: Range::default(),
                symbols: Vec::new(),
                mapping: Vec::new(),
            },
        };
        reader.sections()?;
        let symbols = sections
            .symbols(LE, file, elf::SHT_SYMTAB)
            .map_err(format)?;
        reader.symbols(&symbols)?;
        reader.image.check()?;
        Ok(reader.image)
    }
}

fn format(error: object::read::Error) -> ElfError {
    ElfError::Format(error.to_string())
}

fn check_header(header: &Header) -> Result<()> {
    let expect = |field, expected, found: String, right: bool| {
        if right {
            return Ok(());
        }
        Err(ElfError::Header {
            field,
            expected,
            found,
        })
    };
    let endian = header.is_little_endian();
    expect("byte order", "little endian", "big endian".into(), endian)?;
    let file_type = header.e_type(LE);
    expect(
        "file type",
        "executable (2)",
        file_type.0.to_string(),
        file_type == elf::ET_EXEC,
    )?;
    let machine = header.e_machine(LE);
    expect(
        "machine",
        "ARM (40)",
        machine.0.to_string(),
        machine == elf::EM_ARM,
    )?;
    let flags = header.e_flags(LE).0;
    expect(
        "flags",
        "0x05000400 (EABI 5, hard floats)",
        format!("0x{flags:08x}"),
        flags == FLAGS,
    )
}

struct Reader<'a> {
    file: &'a [u8],
    sections: &'a SectionTable<'a, Header>,
    segments: &'a [ProgramHeader32<LE>],
    /// The index each section has in the file.
    indices: Vec<(usize, Section)>,
    image: Image,
}

impl Reader<'_> {
    fn sections(&mut self) -> Result<()> {
        for (index, header) in self.sections.iter().enumerate() {
            if header.sh_flags(LE).0 & elf::SHF_ALLOC.0 == 0 {
                continue;
            }
            let name = self.sections.section_name(LE, header).map_err(format)?;
            let known = Section::ALL
                .into_iter()
                .find(|section| section.name().as_bytes() == name);
            let twice = |section| self.indices.iter().any(|&(_, seen)| seen == section);
            match known {
                Some(section) if !twice(section) => self.section(section, header)?,
                _ => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    return Err(ElfError::UnknownSection(name));
                }
            }
            self.indices.extend(known.map(|section| (index, section)));
        }
        Ok(())
    }

    fn section(&mut self, section: Section, header: &SectionHeader32<LE>) -> Result<()> {
        let (addr, size) = (header.sh_addr(LE), header.sh_size(LE));
        self.check_loaded(section, header)?;
        if section == Section::Bss {
            self.image.bss = Range { addr, size };
            return Ok(());
        }
        let bytes = header.data(LE, self.file).map_err(format)?.to_vec();
        if bytes.len() as u64 != u64::from(size) {
            return Err(ElfError::NotLoaded(section.name()));
        }
        let block = Block { addr, bytes };
        match section {
            Section::Text => self.image.text = block,
            Section::Rodata => self.image.rodata = block,
            Section::Data | Section::Bss => self.image.data = block,
        }
        Ok(())
    }

    /// A loader looks at segments, we at sections: they must say the same.
    fn check_loaded(&self, section: Section, header: &SectionHeader32<LE>) -> Result<()> {
        let bytes_expected = section != Section::Bss;
        let has_bytes = header.sh_type(LE) != elf::SHT_NOBITS;
        let wanted = Range {
            addr: header.sh_addr(LE),
            size: header.sh_size(LE),
        };
        let loads = |segment: &ProgramHeader32<LE>| {
            let (vaddr, offset) = (segment.p_vaddr(LE), segment.p_offset(LE));
            let size = if bytes_expected {
                segment.p_filesz(LE)
            } else {
                segment.p_memsz(LE)
            };
            let there = Range { addr: vaddr, size }.holds(wanted);
            let same_bytes = !bytes_expected
                || header.sh_offset(LE).wrapping_sub(offset) == wanted.addr.wrapping_sub(vaddr);
            segment.p_type(LE) == elf::PT_LOAD && there && same_bytes
        };
        if bytes_expected == has_bytes && self.segments.iter().any(loads) {
            return Ok(());
        }
        Err(ElfError::NotLoaded(section.name()))
    }

    fn symbols(&mut self, symbols: &SymbolTable<'_, Header>) -> Result<()> {
        for symbol in symbols.iter().skip(1) {
            let name = symbols.symbol_name(LE, symbol).map_err(format)?;
            let name = std::str::from_utf8(name)
                .map_err(|_| ElfError::SymbolName(String::from_utf8_lossy(name).into_owned()))?;
            self.symbol(name, symbol)?;
        }
        Ok(())
    }

    fn symbol(&mut self, name: &str, symbol: &Sym32<LE>) -> Result<()> {
        let value = symbol.st_value(LE);
        let kind = match symbol.st_type() {
            elf::STT_FUNC => SymbolKind::Function,
            elf::STT_OBJECT => SymbolKind::Object,
            elf::STT_NOTYPE => return self.mapping(name, value),
            other => {
                return Err(ElfError::SymbolKind {
                    name: name.to_string(),
                    expected: "a function, an object, $t or $d",
                    found: format!("of type {}", other.0),
                });
            }
        };
        let section = usize::from(symbol.st_shndx(LE).0);
        let Some(&(_, section)) = self.indices.iter().find(|&&(index, _)| index == section) else {
            return Err(ElfError::SymbolOutside {
                name: name.to_string(),
                addr: value,
                size: symbol.st_size(LE),
                section: "a loaded section",
            });
        };
        let addr = match kind {
            SymbolKind::Function if value & 1 == 0 => {
                return Err(ElfError::SymbolKind {
                    name: name.to_string(),
                    expected: "a Thumb function (odd value)",
                    found: format!("at 0x{value:x}"),
                });
            }
            SymbolKind::Function => value & !1,
            SymbolKind::Object => value,
        };
        self.image.symbols.push(ImageSymbol {
            name: name.to_string(),
            kind,
            section,
            addr,
            size: symbol.st_size(LE),
        });
        Ok(())
    }

    fn mapping(&mut self, name: &str, addr: u32) -> Result<()> {
        let kind = [MappingKind::Thumb, MappingKind::Data]
            .into_iter()
            .find(|&kind| mapping_name(kind) == name)
            .ok_or_else(|| ElfError::SymbolKind {
                name: name.to_string(),
                expected: "a function, an object, $t or $d",
                found: "of no type".to_string(),
            })?;
        self.image.mapping.push(Mapping { addr, kind });
        Ok(())
    }
}
