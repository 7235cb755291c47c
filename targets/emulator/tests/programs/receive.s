@ Takes packets from FIFO 0 with WFI and PRIMASK set. Parameters at 0x8000: filter, start and end of the ring.
@ Words taken are appended from 0x9000; their number is at 0x8010, the number of times it woke at 0x8014.
    .syntax unified
    .cpu cortex-m4
    .thumb
    .word 0x10000
    .word start + 1
start:
    cpsid i
    ldr r0, =0xe2000100     @ FIFO 0
    mov.w r1, #0x8000
    ldm r1, {r4-r6}
    str r5, [r0, #0x10]     @ DMAw
    str r5, [r0, #0x0c]     @ DMAr
    str r5, [r0, #0x04]     @ DMAs
    str r6, [r0, #0x08]     @ DMAe
    movs r2, #15
    str r2, [r0, #0x3c]     @ DCTL
    str r4, [r0, #0x00]     @ DMAc
    ldr r3, =0xe000e100     @ ISER0
    mov.w r2, #1 << 9       @ FIFO 0 not empty
    str r2, [r3]
    mov.w r7, #0x9000
    movs r8, #0
    mov r9, r5              @ read pointer
sleep:
    wfi
    add r8, r8, #1
    str r8, [r1, #0x14]
take:
    ldr r2, [r0, #0x18]     @ DBO
    cmp r2, #0
    beq sleep
    ldr r3, [r9], #4
    cmp r9, r6
    it eq
    moveq r9, r5
    str r9, [r0, #0x0c]
    str r3, [r7], #4
    ldr r3, [r1, #0x10]
    adds r3, #1
    str r3, [r1, #0x10]
    b take
    .ltorg
