@ Kernels of examples/mips.rs. Assemble: arm-none-eabi-as -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mthumb
    .syntax unified
    .thumb
@ r0: 2 x 256 words, r2: repetitions
dense_row:
    mov r3, r0
    add r4, r0, #1024
    movs r5, #32
row:
    vldmia r3!, {s0-s7}
    vldmia r4, {s8-s15}
    vadd.f32 s8, s8, s0
    vadd.f32 s9, s9, s1
    vadd.f32 s10, s10, s2
    vadd.f32 s11, s11, s3
    vadd.f32 s12, s12, s4
    vadd.f32 s13, s13, s5
    vadd.f32 s14, s14, s6
    vadd.f32 s15, s15, s7
    vstmia r4!, {s8-s15}
    subs r5, #1
    bne row
    subs r2, #1
    bne dense_row
    bx lr
@ leaky integrate: i = i*a; v = v*b + i*c; when v > s31 branch
lif:
    mov r3, r0
    add r4, r0, #1024
    movs r5, #64
neuron:
    vldmia r3, {s0-s3}
    vldmia r4, {s4-s7}
    vmul.f32 s0, s0, s28
    vmul.f32 s1, s1, s28
    vmul.f32 s2, s2, s28
    vmul.f32 s3, s3, s28
    vmul.f32 s4, s4, s29
    vmul.f32 s5, s5, s29
    vmul.f32 s6, s6, s29
    vmul.f32 s7, s7, s29
    vmul.f32 s8, s0, s30
    vadd.f32 s4, s4, s8
    vmul.f32 s8, s1, s30
    vadd.f32 s5, s5, s8
    vmul.f32 s8, s2, s30
    vadd.f32 s6, s6, s8
    vmul.f32 s8, s3, s30
    vadd.f32 s7, s7, s8
    vstmia r3!, {s0-s3}
    vcmp.f32 s4, s31
    vmrs APSR_nzcv, fpscr
    bgt spike
    vcmp.f32 s5, s31
    vmrs APSR_nzcv, fpscr
    bgt spike
    vcmp.f32 s6, s31
    vmrs APSR_nzcv, fpscr
    bgt spike
    vcmp.f32 s7, s31
    vmrs APSR_nzcv, fpscr
    bgt spike
    vstmia r4!, {s4-s7}
    subs r5, #1
    bne neuron
    subs r2, #1
    bne lif
spike:
    bx lr
@ integer: sum and xor of 256 words, a word at a time
integer:
    mov r3, r0
    mov.w r5, #256
    movs r6, #0
word:
    ldr r4, [r3], #4
    add r6, r6, r4
    eor r7, r6, r4, lsl #3
    cmp r7, #0
    it eq
    addeq r6, #1
    subs r5, #1
    bne word
    subs r2, #1
    bne integer
    mov r0, r6
    bx lr
