"""How each trained net is fitted; a file is named as its net's file."""
