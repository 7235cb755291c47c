@ Counts at 0x8000 while a handler takes packets from FIFO 0 (ring 0x9000 to 0x9040) and adds their keys at 0x8004; the handler's count of
@ interrupts is at 0x8008. The main program uses the FPU, so the frame has its registers, and checks that they survive; it stops
@ counting when the sum reaches the value at 0x800c.
    .syntax unified
    .cpu cortex-m4
    .fpu fpv4-sp-d16
    .thumb
    .word 0x10000
    .word start + 1
    .space 4 * 14
    .space 4 * 9
    .word handler + 1       @ interrupt 9
start:
    ldr r0, =0xe000ed88
    mov.w r1, #0xf00000
    str r1, [r0]            @ CPACR
    ldr r0, =0xe2000100
    mov.w r5, #0x9000
    add r6, r5, #0x40
    str r5, [r0, #0x10]
    str r5, [r0, #0x0c]
    str r5, [r0, #0x04]
    str r6, [r0, #0x08]
    movs r2, #15
    str r2, [r0, #0x3c]
    ldr r2, =0x00200601
    str r2, [r0]
    ldr r3, =0xe000e100
    mov.w r2, #1 << 9
    str r2, [r3]
    mov.w r4, #0x8000
    vmov.f32 s0, #1.0
    vmov.f32 s1, #0.5
    ldr r7, [r4, #0xc]
count:
    vadd.f32 s0, s0, s1
    vsub.f32 s0, s0, s1
    ldr r1, [r4]
    adds r1, #1
    str r1, [r4]
    ldr r2, [r4, #4]
    cmp r2, r7
    blo count
    vstr s0, [r4, #0x10]
    cpsid i
done:
    wfi
    b done
handler:
    push {r4, r5}
    mov.w r1, #0x8000
    ldr r0, =0xe2000100
    vmov.f32 s0, #31.0      @ must not reach the main program
    vcmp.f32 s0, s0
    ldr r2, [r1, #8]
    adds r2, #1
    str r2, [r1, #8]
    ldr r2, [r0, #0x0c]
    ldr r3, [r2], #4
    tst r2, #0x40
    it ne
    movne r2, #0x9000
    str r2, [r0, #0x0c]
    ldr r2, [r1, #4]
    add r2, r3
    str r2, [r1, #4]
    movs r0, #0
    cmp r0, #1
    pop {r4, r5}
    bx lr
    .ltorg
