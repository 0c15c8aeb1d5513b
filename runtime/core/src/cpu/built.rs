//! What this program was compiled for, beside the processor that runs it.
//!
//! The standard library's detection says yes at compile time to what a program was compiled with, so
//! the processor itself is asked: through `cpuid` on x86 (Intel's manual, volume 2A), through the
//! `HWCAP` bits that Linux passes to every program on ARM (`Documentation/arch/arm64/elf_hwcaps.rst`).

/// What may be compiled in: its name for the compiler, whether it was, and where the processor says
/// that it has it.
struct Feature {
    name: &'static str,
    built: bool,
    word: usize,
    mask: u32,
}

/// Rows of `name word bit`.
macro_rules! features {
    ($($name:tt $word:ident $bit:literal,)*) => {
        [$(Feature {
            name: $name,
            built: cfg!(target_feature = $name),
            word: $word,
            mask: 1 << $bit,
        }),*]
    };
}

/// The first feature that was compiled in and that this processor lacks.
///
/// Itself compiled with that feature, it does only what compilers use none for: masks of integers, and
/// a result that fits into registers. A shift by a variable is an instruction of BMI2, and a struct that
/// moves is one of AVX.
pub(super) fn missing() -> Option<&'static str> {
    let words = words()?;
    for feature in &FEATURES {
        if feature.built && words[feature.word] & feature.mask == 0 {
            return Some(feature.name);
        }
    }
    None
}

/// Each feature and whether the processor has it, where the standard library does not tell.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn features() -> Vec<(&'static str, bool)> {
    let words = words().unwrap_or_default();
    let has = |f: &Feature| (f.name, words[f.word] & f.mask != 0);
    FEATURES.iter().map(has).collect()
}

#[cfg(target_arch = "x86_64")]
use x86::{FEATURES, words};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::__cpuid_count;

    use super::Feature;

    const LEAF_1_ECX: usize = 0;
    const LEAF_7_EBX: usize = 1;
    const LEAF_7_ECX: usize = 2;
    const LEAF_7_1_EAX: usize = 3;
    const EXTENDED_ECX: usize = 4;

    pub(super) const FEATURES: [Feature; 36] = features![
        "sse3" LEAF_1_ECX 0,
        "pclmulqdq" LEAF_1_ECX 1,
        "ssse3" LEAF_1_ECX 9,
        "fma" LEAF_1_ECX 12,
        "cmpxchg16b" LEAF_1_ECX 13,
        "sse4.1" LEAF_1_ECX 19,
        "sse4.2" LEAF_1_ECX 20,
        "movbe" LEAF_1_ECX 22,
        "popcnt" LEAF_1_ECX 23,
        "aes" LEAF_1_ECX 25,
        "xsave" LEAF_1_ECX 27,
        "avx" LEAF_1_ECX 28,
        "f16c" LEAF_1_ECX 29,
        "rdrand" LEAF_1_ECX 30,
        "bmi1" LEAF_7_EBX 3,
        "avx2" LEAF_7_EBX 5,
        "bmi2" LEAF_7_EBX 8,
        "avx512f" LEAF_7_EBX 16,
        "avx512dq" LEAF_7_EBX 17,
        "rdseed" LEAF_7_EBX 18,
        "adx" LEAF_7_EBX 19,
        "avx512ifma" LEAF_7_EBX 21,
        "avx512cd" LEAF_7_EBX 28,
        "sha" LEAF_7_EBX 29,
        "avx512bw" LEAF_7_EBX 30,
        "avx512vl" LEAF_7_EBX 31,
        "avx512vbmi" LEAF_7_ECX 1,
        "avx512vbmi2" LEAF_7_ECX 6,
        "gfni" LEAF_7_ECX 8,
        "vaes" LEAF_7_ECX 9,
        "vpclmulqdq" LEAF_7_ECX 10,
        "avx512vnni" LEAF_7_ECX 11,
        "avx512bitalg" LEAF_7_ECX 12,
        "avxvnni" LEAF_7_1_EAX 4,
        "avx512bf16" LEAF_7_1_EAX 5,
        "lzcnt" EXTENDED_ECX 5,
    ];

    pub(super) fn words() -> Option<[u32; 5]> {
        let leaves = __cpuid_count(0, 0).eax;
        let leaf = |n, sub| (leaves >= n).then(|| __cpuid_count(n, sub));
        let (first, seventh) = (leaf(1, 0), leaf(7, 0));
        let deeper = seventh.filter(|r| r.eax >= 1).and_then(|_| leaf(7, 1));
        let extended = __cpuid_count(0x8000_0000, 0).eax > 0x8000_0000;
        let extended = extended.then(|| __cpuid_count(0x8000_0001, 0));
        Some([
            first.map_or(0, |r| r.ecx),
            seventh.map_or(0, |r| r.ebx),
            seventh.map_or(0, |r| r.ecx),
            deeper.map_or(0, |r| r.eax),
            extended.map_or(0, |r| r.ecx),
        ])
    }
}

#[cfg(not(target_arch = "x86_64"))]
use arm::{FEATURES, words};

#[cfg(not(target_arch = "x86_64"))]
mod arm {
    use super::Feature;

    #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
    const HWCAP: usize = 0;
    #[cfg(target_arch = "aarch64")]
    const HWCAP2: usize = 1;

    #[cfg(target_arch = "aarch64")]
    pub(super) const FEATURES: [Feature; 22] = features![
        "neon" HWCAP 1,
        "aes" HWCAP 3,
        "sha2" HWCAP 6,
        "crc" HWCAP 7,
        "lse" HWCAP 8,
        "fp16" HWCAP 10,
        "rdm" HWCAP 12,
        "jsconv" HWCAP 13,
        "fcma" HWCAP 14,
        "rcpc" HWCAP 15,
        "dpb" HWCAP 16,
        "sha3" HWCAP 17,
        "sm4" HWCAP 19,
        "dotprod" HWCAP 20,
        "sve" HWCAP 22,
        "fhm" HWCAP 23,
        "rcpc2" HWCAP 26,
        "flagm" HWCAP 27,
        "sve2" HWCAP2 1,
        "frintts" HWCAP2 8,
        "i8mm" HWCAP2 13,
        "bf16" HWCAP2 14,
    ];
    #[cfg(target_arch = "arm")]
    pub(super) const FEATURES: [Feature; 2] = features![
        "neon" HWCAP 12,
        "vfp4" HWCAP 16,
    ];
    #[cfg(not(any(target_arch = "aarch64", target_arch = "arm")))]
    pub(super) const FEATURES: [Feature; 0] = [];

    pub(super) fn words() -> Option<[u32; 2]> {
        #[cfg(target_os = "linux")]
        {
            let (first, second) = rustix::param::linux_hwcap();
            // The bits of this table are the lower ones.
            Some([first as u32, second as u32])
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What this test was compiled with runs here, or it would not; and what the standard library
    /// finds is found.
    #[test]
    fn the_processor_has_what_it_says() {
        assert_eq!(missing(), None);
        let words = words().unwrap();
        for (name, has) in crate::cpu::features() {
            let found = FEATURES.iter().find(|f| f.name == name).unwrap();
            assert_eq!(words[found.word] & found.mask != 0, has, "{name}");
        }
    }
}
