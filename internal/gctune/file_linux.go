package gctune

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dropFile unmaps the pages of the program's own file that were read until now: most of them while packages
// were initialised, which is over. The kernel keeps them as long as it has room, and those that are needed
// again are mapped again when they are used. Where anything cannot be read or done, the pages stay.
func dropFile() {
	if !isFixed() {
		return
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// 00400000-0318c000 r-xp 00000000 08:01 1234   /usr/bin/slipway
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || strings.Contains(fields[1], "w") || !strings.HasSuffix(lines.Text(), " "+program) {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		begin, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			return
		}
		end, err := strconv.ParseUint(to, 16, 64)
		if err != nil {
			return
		}
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(begin), uintptr(end-begin), syscall.MADV_DONTNEED)
	}
}

// mappedFile is how many bytes of files are mapped; 0 where that is unknown.
func mappedFile() int {
	text, err := os.ReadFile("/proc/self/statm") // pages: size, resident, of these shared, …
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[2])
	return pages * os.Getpagesize()
}

// isFixed says that the program runs at the addresses of its file. In another one, the loader has written
// addresses into pages that are read-only since then, and these must stay.
func isFixed() bool {
	const executable = 2 // ET_EXEC, after the 16 bytes that identify an ELF file
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return false
	}
	defer f.Close()
	var head [18]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && (head[16] == executable || head[17] == executable) // in either order of bytes
}
