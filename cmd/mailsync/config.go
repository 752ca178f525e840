package main

import "github.com/spf13/cobra"

func (a *app) configCommand() *cobra.Command {
	return family("config", "check or show the configuration")
}
