//go:build !linux

package archive

const noatime = 0
