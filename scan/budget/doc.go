// Package budget bounds the IO of all workers together: one budget for each
// physical device, however many stores, mailboxes and files use it.
//
// A Device counts concurrent readers, bytes and files per second, and keeps a
// histogram of how long reads took. When reads become slower than a target it
// lowers the number of readers and raises it again when they recover.
//
// It opens no mail and knows no store; it reads sysfs and mountinfo to learn
// which file systems share a disk. What it cannot place shares one budget.
package budget
