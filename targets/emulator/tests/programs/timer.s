@ Timer 1 with the period at 0x8000, in units of its clock; each wake-up appends the cycle counter from 0x9000. Stops after four.
    .syntax unified
    .cpu cortex-m4
    .thumb
    .word 0x10000
    .word start + 1
start:
    cpsid i
    ldr r0, =0xe0001000
    movs r1, #1
    str r1, [r0]            @ DWT_CTRL
    ldr r2, =0xe1000000
    mov.w r3, #0x8000
    ldr r3, [r3]
    str r3, [r2]            @ LOAD
    movs r3, #0xe2
    str r3, [r2, #8]        @ CONTROL
    ldr r3, =0xe000e100
    str r1, [r3]            @ enable interrupt 0
    mov.w r4, #0x9000
    movs r5, #4
again:
    wfi
    ldr r3, [r0, #4]
    str r3, [r4], #4
    str r1, [r2, #0xc]      @ clear
    subs r5, #1
    bne again
    str r5, [r2, #8]        @ off
done:
    wfi
    b done
    .ltorg
