//! Writing.

use object::Endianness;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, SectionIndex, Sym, Writer};

use super::{ElfError, Image, ImageSymbol, Section, attributes};
use crate::thumb::{Mapping, MappingKind, SymbolKind};

/// Version 5 of the ABI, float arguments in float registers.
pub(super) const FLAGS: u32 = 0x0500_0400;

impl Image {
    /// The image as an ELF file; the same image gives the same bytes.
    pub fn write(&self) -> Result<Vec<u8>, ElfError> {
        self.check()?;
        let mut bytes = Vec::new();
        write(self, &mut bytes).map_err(|error| ElfError::Format(error.to_string()))?;
        Ok(bytes)
    }
}

/// A loaded section and its place in the file.
struct Loaded<'a> {
    section: Section,
    bytes: &'a [u8],
    /// Its size in memory.
    size: u32,
    addr: u32,
    offset: u64,
    name: StringId,
    index: SectionIndex,
}

fn write(image: &Image, out: &mut Vec<u8>) -> object::write::Result<()> {
    let attributes = attributes::arm_attributes();
    let mut writer = Writer::new(Endianness::Little, false, out);
    writer.reserve_file_header();
    let present: Vec<Section> = Section::ALL
        .into_iter()
        .filter(|&section| image.range(section).size > 0)
        .collect();
    writer.reserve_program_headers(present.len() as u32);
    let loaded: Vec<Loaded<'_>> = present
        .into_iter()
        .map(|section| {
            let bytes = contents(image, section);
            Loaded {
                section,
                bytes,
                size: image.range(section).size,
                addr: image.range(section).addr,
                offset: writer.reserve(bytes.len() as u64, 4),
                name: writer.add_section_name(section.name().as_bytes()),
                index: writer.reserve_section_index(),
            }
        })
        .collect();
    let attributes_offset = writer.reserve(attributes.len() as u64, 1);
    let attributes_name = writer.add_section_name(b".ARM.attributes");
    writer.reserve_section_index();

    let mapping: Vec<StringId> = image
        .mapping
        .iter()
        .map(|mapping| writer.add_string(mapping_name(mapping.kind).as_bytes()))
        .collect();
    let names: Vec<StringId> = image
        .symbols
        .iter()
        .map(|symbol| writer.add_string(symbol.name.as_bytes()))
        .collect();
    let section_index = |section| {
        loaded
            .iter()
            .find(|loaded| loaded.section == section)
            .map(|loaded| loaded.index)
    };
    writer.reserve_null_symbol_index();
    for _ in &mapping {
        writer.reserve_symbol_index(section_index(Section::Text));
    }
    for symbol in &image.symbols {
        writer.reserve_symbol_index(section_index(symbol.section));
    }
    writer.reserve_symtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab_section_index();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_ARM,
        e_entry: image.entry.into(),
        e_flags: elf::FileFlags(FLAGS),
    })?;
    writer.write_align_program_headers();
    for section in &loaded {
        writer.write_program_header(&program_header(section));
    }
    for section in &loaded {
        writer.write_align(4);
        writer.write(section.bytes);
    }
    writer.write(&attributes);
    writer.write_null_symbol();
    let text = section_index(Section::Text);
    for (mapping, &name) in image.mapping.iter().zip(&mapping) {
        let st_name = writer.string_offset(Some(name));
        writer.write_symbol(&mapping_symbol(mapping, st_name, text));
    }
    for (symbol, &name) in image.symbols.iter().zip(&names) {
        let st_name = writer.string_offset(Some(name));
        writer.write_symbol(&named_symbol(
            symbol,
            st_name,
            section_index(symbol.section),
        ));
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    for section in &loaded {
        let sh_name = writer.section_name_offset(Some(section.name));
        writer.write_section_header(&section_header(section, sh_name));
    }
    let sh_name = writer.section_name_offset(Some(attributes_name));
    writer.write_section_header(&SectionHeader {
        sh_name,
        sh_type: elf::SHT_ARM_ATTRIBUTES,
        sh_offset: attributes_offset,
        sh_size: attributes.len() as u64,
        sh_addralign: 1,
        ..null_section()
    });
    writer.write_symtab_section_header(1 + mapping.len() as u32);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(())
}

fn contents(image: &Image, section: Section) -> &[u8] {
    match section {
        Section::Text => &image.text.bytes,
        Section::Rodata => &image.rodata.bytes,
        Section::Data => &image.data.bytes,
        Section::Bss => &[],
    }
}

fn program_header(section: &Loaded<'_>) -> ProgramHeader {
    ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: match section.section {
            Section::Text => elf::PF_R | elf::PF_X,
            Section::Rodata => elf::PF_R,
            Section::Data | Section::Bss => elf::PF_R | elf::PF_W,
        },
        p_offset: section.offset,
        p_vaddr: section.addr.into(),
        p_paddr: section.addr.into(),
        p_filesz: section.bytes.len() as u64,
        p_memsz: section.size.into(),
        p_align: 4,
    }
}

fn section_header(section: &Loaded<'_>, sh_name: u32) -> SectionHeader {
    SectionHeader {
        sh_name,
        sh_type: match section.section {
            Section::Bss => elf::SHT_NOBITS,
            _ => elf::SHT_PROGBITS,
        },
        sh_flags: match section.section {
            Section::Text => elf::SHF_ALLOC | elf::SHF_EXECINSTR,
            Section::Rodata => elf::SHF_ALLOC,
            Section::Data | Section::Bss => elf::SHF_ALLOC | elf::SHF_WRITE,
        },
        sh_addr: section.addr.into(),
        sh_offset: section.offset,
        sh_size: section.size.into(),
        sh_addralign: 4,
        ..null_section()
    }
}

fn null_section() -> SectionHeader {
    SectionHeader {
        sh_name: 0,
        sh_type: elf::SHT_NULL,
        sh_flags: elf::SectionFlags(0),
        sh_addr: 0,
        sh_offset: 0,
        sh_size: 0,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 0,
        sh_entsize: 0,
    }
}

pub(super) const fn mapping_name(kind: MappingKind) -> &'static str {
    match kind {
        MappingKind::Thumb => "$t",
        MappingKind::Data => "$d",
    }
}

fn mapping_symbol(mapping: &Mapping, st_name: u32, text: Option<SectionIndex>) -> Sym {
    Sym {
        section: text.map(|index| index.0),
        st_name,
        st_info: elf::SymbolInfo::new(elf::STB_LOCAL, elf::STT_NOTYPE),
        st_other: elf::SymbolOther(0),
        st_shndx: elf::SHN_UNDEF,
        st_value: mapping.addr.into(),
        st_size: 0,
    }
}

fn named_symbol(symbol: &ImageSymbol, st_name: u32, section: Option<SectionIndex>) -> Sym {
    let (st_type, thumb) = match symbol.kind {
        SymbolKind::Function => (elf::STT_FUNC, 1),
        SymbolKind::Object => (elf::STT_OBJECT, 0),
    };
    Sym {
        section: section.map(|index| index.0),
        st_name,
        st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, st_type),
        st_other: elf::SymbolOther(0),
        st_shndx: elf::SHN_UNDEF,
        st_value: u64::from(symbol.addr | thumb),
        st_size: symbol.size.into(),
    }
}
