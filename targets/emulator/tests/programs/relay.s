@ Every PE: takes (key, payload) from FIFO 0; acc = acc * 31 + key + payload; works for a while; if the payload is not 0 sends
@ (own key from 0x8000, payload - 1) to the router, and stores acc into the memory of the PE whose window is at 0x8004, at the
@ address given there, reading back a word from the address at 0x8008. acc is at 0x8010, the sum of words read at 0x8014.
    .equ TCR, 3 << 29 | 4 << 26 | 3 << 23 | 7 << 14 | 1 << 11 | 7 << 8
    .syntax unified
    .cpu cortex-m4
    .thumb
    .word 0x10000
    .word start + 1
start:
    cpsid i
    ldr r0, =0xe2000000
    mov.w r1, #0x8000
    mov.w r5, #0xa000
    add r6, r5, #0x100
    str r5, [r0, #0x110]
    str r5, [r0, #0x10c]
    str r5, [r0, #0x104]
    str r6, [r0, #0x108]
    movs r2, #15
    str r2, [r0, #0x13c]
    ldr r2, =0x00200641
    str r2, [r0, #0x100]
    ldr r2, =TCR @ constant 3, (4, 3), spike, payload, no forced route
    str r2, [r0]
    ldr r3, =0xe000e100
    mov.w r2, #1 << 9
    str r2, [r3]
    movs r4, #0
sleep:
    wfi
take:
    ldr r2, [r0, #0x118]
    cmp r2, #2
    blo sleep
    ldrd r7, r8, [r5], #8
    cmp r5, r6
    it eq
    moveq r5, #0xa000
    str r5, [r0, #0x10c]
    movs r2, #31
    mla r4, r4, r2, r7
    add r4, r4, r8
    str r4, [r1, #0x10]
    and r2, r4, #63
work:
    subs r2, #1
    bpl work
    cmp r8, #0
    beq take
    sub r8, r8, #1
    str r8, [r0, #0x10]
    ldr r2, [r1]
    str r2, [r0, #0x14]
    ldr r2, [r1, #4]
    str r4, [r2]
    ldr r2, [r1, #8]
    ldr r2, [r2]
    ldr r3, [r1, #0x14]
    add r3, r2
    str r3, [r1, #0x14]
    b take
    .ltorg
